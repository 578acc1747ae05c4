//! One configuration that runs start from, with its axes.

use std::path::Path;

use pfgmpp_config::{ConfigError, Document, Override, RunConfig};
use serde_yaml::Mapping;

use super::Point;
use super::axes::{self, Axis};
use super::file::{SetupFile, SweepFile};
use super::name::point_name;

/// The axis of several setups.
pub(crate) const SETUP: &str = "setup";

/// One configuration that runs start from.
pub(super) struct Setup {
    /// Its name, if there are several.
    pub name: Option<String>,
    /// Its own axes first, then the common ones.
    pub axes: Vec<Axis>,
    /// Which runs of the sweep train the models that its runs sample.
    pub checkpoint_of: Option<Mapping>,
    /// The configuration with the overrides in it.
    base: Document,
    /// The keys that were set in it, each with who set it.
    places: Vec<(String, String)>,
    /// The first override that it has no key for.
    refused: Option<ConfigError>,
}

impl Setup {
    /// Reads every setup of the sweep file at `path`, and the overrides into it.
    pub fn read_all(
        file: &SweepFile,
        path: &Path,
        overrides: &[Override],
    ) -> Result<Vec<Self>, ConfigError> {
        let setups = file.base.setups().into_iter().map(|(name, setup)| {
            let axes = all_axes(file, name.as_deref(), &setup, path)?;
            check_clashes(&axes, overrides, path)?;
            let config = path.parent().unwrap_or(Path::new("")).join(&setup.config);
            let base = Document::open::<RunConfig>(&config)?;
            Ok(Self {
                name,
                axes,
                checkpoint_of: setup.checkpoint_of,
                base,
                places: Vec::new(),
                refused: None,
            }
            .with(overrides))
        });
        let setups = setups.collect::<Result<Vec<_>, ConfigError>>()?;
        check_overrides(overrides, &setups)?;
        setups
            .iter()
            .try_for_each(|setup| RunConfig::read(&setup.base, &setup.places).map(drop))?;
        Ok(setups)
    }

    fn with(mut self, overrides: &[Override]) -> Self {
        for Override { origin, key, value } in overrides {
            match self.base.set::<RunConfig>(key, value.clone(), origin) {
                Ok(()) => self.places.push((key.clone(), origin.clone())),
                Err(error) => self.refused = self.refused.or(Some(error)),
            }
        }
        self
    }

    /// Every combination of the axes' values, first axis slowest, each a checked configuration.
    pub fn points(&self) -> Result<Vec<Point>, ConfigError> {
        let choices = axes::choices(&self.axes);
        choices.iter().map(|choice| self.point(choice)).collect()
    }

    fn point(&self, choice: &[(&Axis, usize)]) -> Result<Point, ConfigError> {
        let mut document = self.base.clone();
        let mut places = self.places.clone();
        for (axis, index) in choice {
            let place = format!("{}[{index}]", axis.place);
            document.set::<RunConfig>(&axis.key, axis.values[*index].clone(), &place)?;
            places.push((axis.key.clone(), place));
        }
        let config = RunConfig::read(&document, &places)?;
        let setup = self.name.iter();
        let setup = setup.map(|name| (SETUP.to_string(), name.clone()));
        let axes = choice
            .iter()
            .map(|(axis, index)| (axis.key.clone(), axis.text(*index, &config)));
        let values: Vec<_> = setup.chain(axes).collect();
        Ok(Point {
            name: point_name(&values),
            values,
            data: config.data.name(),
            config,
            provider: None,
        })
    }
}

/// The axes of a setup: its own, then the common ones.
fn all_axes(
    file: &SweepFile,
    name: Option<&str>,
    setup: &SetupFile,
    path: &Path,
) -> Result<Vec<Axis>, ConfigError> {
    let origin = path.display().to_string();
    let section = format!("base.{}.axes", name.unwrap_or_default());
    let mut all = axes::read(&setup.axes, &origin, &section)?;
    let common = axes::read(&file.axes, &origin, "axes")?;
    if let Some(twice) = all.iter().find(|own| file.axes.contains_key(&own.key)) {
        let message = format!(
            "{section}.{0}: axes.{0} is one of every setup: keep one of the two",
            twice.key
        );
        return Err(ConfigError::new(origin, message));
    }
    all.extend(common);
    Ok(all)
}

/// Refuses an override of a key that is an axis.
fn check_clashes(axes: &[Axis], overrides: &[Override], path: &Path) -> Result<(), ConfigError> {
    let clash = overrides
        .iter()
        .find(|o| axes.iter().any(|axis| axis.key == o.key));
    match clash {
        None => Ok(()),
        Some(Override { origin, key, .. }) => {
            let file = path.display();
            let message = format!("{key} is an axis of {file}: set axes.{key}=[...]");
            Err(ConfigError::new(origin, message))
        }
    }
}

/// Refuses an override that no setup has a key for; where there are several, one is enough.
fn check_overrides(overrides: &[Override], setups: &[Setup]) -> Result<(), ConfigError> {
    for Override { origin, key, .. } in overrides {
        let place = (key.clone(), origin.clone());
        if !setups.iter().any(|setup| setup.places.contains(&place)) {
            let refused = setups.iter().find_map(|setup| setup.refused.clone());
            return Err(refused.unwrap_or_else(|| ConfigError::new(origin, "no such key")));
        }
    }
    Ok(())
}
