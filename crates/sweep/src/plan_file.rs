//! A plan that was written down, so that every call which takes a part of it means the same runs.

use std::path::Path;

use pfgmpp_config::{ConfigError, yaml};
use pfgmpp_run::RunError;
use pfgmpp_store::{write_file, write_first};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Plan;

/// The file in the sweep's folder.
const FILE: &str = "plan.json";

/// What is written of a plan.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct PlanFile {
    /// Name of the sweep.
    name: String,
    /// The runs, in order.
    runs: Vec<PlannedRun>,
}

/// What is written of a run.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct PlannedRun {
    name: String,
    /// The run whose model this one samples, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(default)]
    after: Option<String>,
    /// Of the complete configuration.
    sha256: String,
}

impl PlanFile {
    fn of(plan: &Plan) -> Result<Self, ConfigError> {
        let runs = plan.points.iter().map(|point| {
            let text = yaml::to_string(&point.config)?;
            let digest = Sha256::digest(text.as_bytes());
            Ok(PlannedRun {
                name: point.name.clone(),
                after: point.provider.map(|run| plan.points[run].name.clone()),
                sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            })
        });
        Ok(Self {
            name: plan.name.clone(),
            runs: runs.collect::<Result<_, ConfigError>>()?,
        })
    }

    /// The text of the file.
    fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("a plan has string keys") + "\n"
    }

    /// The first difference from `other`, in words.
    fn difference(&self, other: &Self) -> String {
        let pairs = self.runs.iter().zip(&other.runs);
        let unlike = pairs.into_iter().find(|(a, b)| a != b);
        match unlike {
            Some((a, b)) if a.name == b.name => {
                format!("run {} has another configuration there", a.name)
            }
            Some((a, b)) => format!("{} stands there in place of {}", b.name, a.name),
            None => format!(
                "{} runs there, {} asked for",
                other.runs.len(),
                self.runs.len()
            ),
        }
    }
}

/// Writes the plan into the folder `out`, over one that is there.
///
/// # Errors
///
/// Any failure of the file system.
pub(crate) fn write_plan(plan: &Plan, out: &Path) -> Result<(), RunError> {
    let (path, text) = (out.join(FILE), PlanFile::of(plan)?.text());
    write_file(&path, text.as_bytes()).map_err(RunError::io(&path))
}

/// Makes sure that the folder `out` holds this plan; writes it where there is none, the first of several calls for all of
/// them.
///
/// # Errors
///
/// Another plan, and any failure of the file system.
pub(crate) fn agree(plan: &Plan, out: &Path) -> Result<(), RunError> {
    let path = out.join(FILE);
    let own = PlanFile::of(plan)?;
    let text = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let first = write_first(&path, own.text().as_bytes());
            if first.map_err(RunError::io(&path))? {
                return Ok(());
            }
            // Another call was first just now.
            std::fs::read(&path)
        }
        there => there,
    };
    let text = text.map_err(RunError::io(&path))?;
    let text = String::from_utf8_lossy(&text);
    let origin = path.display().to_string();
    let there: PlanFile = serde_json::from_str(&text).map_err(|e| {
        ConfigError::new(
            &origin,
            format!("is not a plan, or is damaged: write the plan anew ({e})"),
        )
    })?;
    if own == there {
        return Ok(());
    }
    let message = format!(
        "is another plan: {}: take the same file and flags, or write the plan anew",
        own.difference(&there)
    );
    Err(ConfigError::new(origin, message).into())
}
