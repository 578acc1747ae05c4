//! Names of data sets within a sweep: that of the file or folder, with as many folders above it as tell it from
//! another of the same name.

use std::path::{Component, Path};

use pfgmpp_data::DataSource;

use super::Point;
use super::name::point_name;

/// Gives every data set of the runs a name of its own, on the axis `data` and in the names of runs too.
pub(super) fn name_data(points: &mut [Point]) {
    let mut sources: Vec<DataSource> = Vec::new();
    for point in &*points {
        if !sources.contains(&point.config.data) {
            sources.push(point.config.data.clone());
        }
    }
    for point in points {
        let short = point.config.data.name();
        let of_that_name = sources.iter().filter(|source| source.name() == short);
        let paths: Option<Vec<&Path>> = of_that_name.map(path).collect();
        let own = path(&point.config.data);
        let (Some(own), Some(paths)) = (own, paths) else {
            continue;
        };
        point.data = longer(own, &paths);
        let on_axis = point.values.iter_mut().find(|(key, _)| key == "data");
        if let Some((_, value)) = on_axis {
            value.clone_from(&point.data);
            point.name = point_name(&point.values);
        }
    }
}

/// Where a data set lies, if it is a file or folder.
fn path(source: &DataSource) -> Option<&Path> {
    match source {
        DataSource::Zip(archive) => Some(&archive.path),
        DataSource::Folder(folder) => Some(&folder.path),
        DataSource::Npy(array) => Some(&array.path),
        _ => None,
    }
}

/// The shortest end of `own` that no other of `paths` has; the shortest of all where they are one path.
fn longer(own: &Path, paths: &[&Path]) -> String {
    let parts = |path: &Path| -> Vec<String> {
        let named = path.components().filter(|part| *part != Component::CurDir);
        let text = named.map(|part| part.as_os_str().to_string_lossy().replace('/', ""));
        text.collect()
    };
    let own_parts = parts(own);
    let end =
        |parts: &[String], count: usize| parts[parts.len() - count.min(parts.len())..].join("/");
    let others: Vec<Vec<String>> = paths.iter().map(|path| parts(path)).collect();
    let differs = |count: &usize| {
        let same = others
            .iter()
            .filter(|other| end(other, *count) == end(&own_parts, *count));
        same.count() <= 1
    };
    let count = (1..=own_parts.len()).find(differs).unwrap_or(1);
    end(&own_parts, count)
}

#[cfg(test)]
mod tests {
    use super::longer;
    use std::path::Path;

    #[test]
    fn data_of_one_name_are_told_apart_by_the_folders_above() {
        for (own, others, want) in [
            ("a/imgs", &["a/imgs", "b/imgs"][..], "a/imgs"),
            ("/x/a/imgs", &["/x/a/imgs", "/y/a/imgs"], "x/a/imgs"),
            ("imgs", &["imgs", "b/imgs"], "imgs"),
            ("b/imgs", &["imgs", "b/imgs"], "b/imgs"),
            ("a/imgs.zip", &["a/imgs.zip"], "imgs.zip"),
            ("./a", &["a", "./a"], "a"),
        ] {
            let others: Vec<&Path> = others.iter().map(Path::new).collect();
            let got = longer(Path::new(own), &others);
            assert_eq!(got, want, "{own} among {others:?}");
        }
    }
}
