//! Scores by what models were sampled with besides: a line for each point of the sweep along each setting, and a table
//! of all combinations.

use maud::{Markup, html};
use pfgmpp_metrics::{Better, SeedMean};

use super::Metric;
use super::frame::{Frame, drawing, place, polyline};
use super::number::significant;
use super::point::Point;
use super::scale::{Scale, Tick};
use super::stroke::{entries, legend, strokes};

/// A choice of one value for each setting.
type Choice<'a> = Vec<(&'a str, &'a str)>;

/// What the models of a group were sampled with besides.
pub(super) struct Settings<'a> {
    /// Each setting with its values, in the order in which they are named.
    settings: Vec<(&'a str, Vec<&'a str>)>,
    /// Every combination that was scored.
    choices: Vec<Choice<'a>>,
}

impl<'a> Settings<'a> {
    /// Of all runs of `points`; `None` if none was sampled otherwise.
    pub fn of(points: &[Point<'a>]) -> Option<Self> {
        let (mut settings, mut choices) = (Vec::<(&str, Vec<&str>)>::new(), Vec::new());
        for evaluated in points
            .iter()
            .flat_map(|point| &point.rows)
            .flat_map(|row| &row.evaluations)
        {
            let choice: Choice<'a> = evaluated
                .values
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect();
            for &(key, value) in &choice {
                match settings.iter_mut().find(|(other, _)| *other == key) {
                    Some((_, values)) if values.contains(&value) => {}
                    Some((_, values)) => values.push(value),
                    None => settings.push((key, vec![value])),
                }
            }
            if !choices.contains(&choice) {
                choices.push(choice);
            }
        }
        (!choices.is_empty()).then_some(Self { settings, choices })
    }

    /// The settings that take several values.
    fn varied(&self) -> impl Iterator<Item = &(&'a str, Vec<&'a str>)> {
        self.settings.iter().filter(|(_, values)| values.len() > 1)
    }

    /// One plot for each metric by which runs compare and each setting of several values.
    pub fn plots<'s>(
        &'s self,
        points: &'s [Point<'a>],
        metrics: &'s [Metric],
    ) -> impl Iterator<Item = EvaluationPlot<'s, 'a>> {
        let compared = metrics.iter().filter(|metric| metric.better().is_some());
        compared.flat_map(move |metric| {
            self.varied().map(move |(key, values)| EvaluationPlot {
                points,
                metric,
                key,
                values,
                others: self.others(key),
            })
        })
    }

    /// What the settings beside `key` are in the first combination that has it.
    fn others(&self, key: &str) -> Choice<'a> {
        let has_it = |choice: &&Choice<'a>| choice.iter().any(|(other, _)| *other == key);
        let first = self.choices.iter().find(has_it).into_iter().flatten();
        first.filter(|(other, _)| *other != key).copied().collect()
    }

    /// The section of the page; `first` is the index of its first figure.
    pub fn section(&self, points: &[Point<'a>], metrics: &[Metric], first: usize) -> Markup {
        html! {
            section {
                h2 { "Sampled otherwise" }
                p.soft { "Each model was trained once. Lines join the means over seeds; bars: 95 % intervals." }
                div.plots {
                    @for (index, plot) in self.plots(points, metrics).enumerate() {
                        (plot.figure(first + index))
                    }
                }
                details {
                    summary { "All combinations" }
                    @for metric in metrics.iter().filter(|metric| metric.better().is_some()) {
                        (self.table(points, metric))
                    }
                }
            }
        }
    }

    fn table(&self, points: &[Point<'a>], metric: &Metric) -> Markup {
        html! {
            div.wide.comparison tabindex="0" role="region" aria-label=(metric.label) {
                table {
                    caption { span { (metric.label) ", mean over seeds ± half its 95 % interval" } }
                    thead {
                        tr {
                            @for (key, _) in &self.settings { th scope="col" { (last_part(key)) } }
                            @for point in points { th.number scope="col" { (point.label) } }
                        }
                    }
                    tbody {
                        @for choice in &self.choices {
                            tr {
                                @for (key, _) in &self.settings {
                                    td { (choice.iter().find(|(other, _)| other == key).map_or("", |(_, value)| value)) }
                                }
                                @for point in points {
                                    td.number {
                                        @if let Some(found) = mean(point, &metric.key, choice) {
                                            (significant(found.mean))
                                            @if let Some([low, high]) = found.interval {
                                                " ± " (significant((high - low) / 2.0))
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The mean over the seeds of `point` of the metric `key`, sampled by `choice`.
fn mean(point: &Point<'_>, key: &str, choice: &[(&str, &str)]) -> Option<SeedMean> {
    let chosen = |values: &[(String, String)]| {
        let all_of_it = choice.len() == values.len();
        all_of_it
            && choice.iter().all(|(key, value)| {
                values
                    .iter()
                    .any(|(own, other)| own == key && other == value)
            })
    };
    let of_row = |row: &&super::Row| {
        let found = row
            .evaluations
            .iter()
            .find(|evaluated| chosen(&evaluated.values))?;
        Some(found.scores.get(key)?.value).filter(|value| value.is_finite())
    };
    SeedMean::of(&point.rows.iter().filter_map(of_row).collect::<Vec<_>>())
}

/// `num_steps` of `sampler.schedule.edm.num_steps`: what a reader tells settings apart by.
fn last_part(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// A metric along one setting.
pub(super) struct EvaluationPlot<'s, 'a> {
    points: &'s [Point<'a>],
    metric: &'s Metric,
    key: &'a str,
    values: &'s [&'a str],
    /// What the other settings are.
    others: Choice<'a>,
}

impl EvaluationPlot<'_, '_> {
    /// The name of its file.
    pub fn name(&self) -> String {
        format!("{}_by_{}", self.metric.key, self.key.replace('.', "_"))
    }

    /// What it shows.
    pub fn title(&self) -> String {
        format!("{} by {}", self.metric.label, last_part(self.key))
    }

    pub fn figure(&self, index: usize) -> Markup {
        let others = self
            .others
            .iter()
            .map(|(key, value)| format!("{} = {value}", last_part(key)));
        let others = others.collect::<Vec<_>>().join(", ");
        html! {
            figure.plot {
                figcaption {
                    strong { (self.title()) }
                    span.soft {
                        (self.metric.better().map(Better::in_words).unwrap_or_default())
                        @if !others.is_empty() { "; " (others) }
                    }
                }
                @match self.drawing(index) {
                    Some((drawing, entries)) => { (drawing) (legend(&entries)) }
                    None => p.empty { "No finished run has a finite value." },
                }
            }
        }
    }

    /// The drawing with style and name of each line; `None` if there is nothing to plot.
    pub fn drawing(&self, index: usize) -> Option<(Markup, Vec<(String, String)>)> {
        let places = self.places();
        let choice = |value| [self.others.as_slice(), &[(self.key, value)]].concat();
        let lines: Vec<Vec<(f64, SeedMean)>> = self
            .points
            .iter()
            .map(|point| {
                let means = self.values.iter().zip(&places.0);
                let means = means.filter_map(|(value, at)| {
                    Some((*at, mean(point, &self.metric.key, &choice(value))?))
                });
                means.collect()
            })
            .collect();
        let all = lines.iter().flatten();
        let means: Vec<f64> = all.clone().map(|(_, found)| found.mean).collect();
        let ends: Vec<f64> = all
            .filter_map(|(_, found)| found.interval)
            .flatten()
            .collect();
        let up = Scale::choose(&means, &ends)?;
        let frame = Frame::new(false);
        let strokes = strokes(self.points);
        let drawn: Vec<usize> = (0..lines.len())
            .filter(|&line| !lines[line].is_empty())
            .collect();
        let end = |value: f64, beyond: f64| place(frame.y(up.at(value).unwrap_or(beyond)));
        let content = html! {
            (frame.grid(&up))
            (frame.bottom_axis(&places.1, last_part(self.key), None))
            @for (line, stroke) in lines.iter().zip(&strokes) {
                @let on: Vec<_> = line.iter().filter_map(|(at, found)| {
                    Some((frame.x(*at), frame.y(up.at(found.mean)?)))
                }).collect();
                g style=(stroke.css()) {
                    polyline.mean points=(polyline(&on)) {}
                    @for (at, found) in line {
                        @if let Some([low, high]) = found.interval {
                            @let x = place(frame.x(*at));
                            line.interval x1=(x) x2=(x) y1=(end(low, 0.0)) y2=(end(high, 1.0)) {}
                        }
                    }
                }
            }
        };
        let about = self.description(&lines);
        let title = self.title();
        Some((
            drawing(index, &title, &about, &content),
            entries(self.points, &strokes, &drawn),
        ))
    }

    /// Where the values stand, and ticks for them: numbers by their size, anything else one after the other.
    fn places(&self) -> (Vec<f64>, Vec<Tick>) {
        let numbers: Option<Vec<f64>> = self
            .values
            .iter()
            .map(|value| value.parse().ok().filter(|number: &f64| number.is_finite()))
            .collect();
        let by_size = numbers.and_then(|numbers| {
            let scale = Scale::tight(&numbers)?;
            numbers.iter().map(|number| scale.at(*number)).collect()
        });
        let last = (self.values.len() - 1).max(1) as f64;
        let in_order = || {
            (0..self.values.len())
                .map(|place| place as f64 / last)
                .collect()
        };
        let places: Vec<f64> = by_size.unwrap_or_else(in_order);
        let ticks = places.iter().zip(self.values).map(|(&at, value)| Tick {
            at,
            label: (*value).to_string(),
        });
        let ticks = ticks.collect();
        (places, ticks)
    }

    /// What a reader who does not see the plot needs to know.
    fn description(&self, lines: &[Vec<(f64, SeedMean)>]) -> String {
        let of_point = |(point, line): (&Point<'_>, &Vec<(f64, SeedMean)>)| {
            let values = line.iter().map(|(_, found)| significant(found.mean));
            format!("{}: {}", point.label, values.collect::<Vec<_>>().join(", "))
        };
        let lines: Vec<String> = self.points.iter().zip(lines).map(of_point).collect();
        format!("At {}. {}.", self.values.join(", "), lines.join("; "))
    }
}
