//! The file by which the others learn where the first rank is.

use std::path::{Path, PathBuf};

use super::{NONCE, Seat};

/// What the file says: where the first rank is.
pub(super) struct Note {
    pub(super) nonce: [u8; NONCE],
    pub(super) port: u16,
    pub(super) hosts: Vec<String>,
}

impl Note {
    pub(super) fn text(&self) -> String {
        let nonce: String = self
            .nonce
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let hosts = self.hosts.join("\n");
        format!("{nonce}\n{}\n{hosts}\n", self.port)
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let hex = lines.next()?;
        let mut nonce = [0; NONCE];
        for (at, byte) in nonce.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self {
            nonce,
            port: lines.next()?.parse().ok()?,
            hosts: lines.map(str::to_string).collect(),
        })
    }

    /// Where it is written: in the run's folder, or the nearest one above it that exists.
    pub(super) fn place(seat: &Seat) -> PathBuf {
        let mut places = Self::places(seat);
        let exists = |file: &PathBuf| match file.parent() {
            Some(folder) if folder != Path::new("") => folder.is_dir(),
            _ => true,
        };
        places.find(exists).unwrap_or_default()
    }

    /// Where it may be found.
    pub(super) fn places(seat: &Seat) -> impl Iterator<Item = PathBuf> {
        let of = format!("{}\n{}", seat.job, seat.folder.display());
        let name = format!(".ranks-{:08x}", crc32fast::hash(of.as_bytes()));
        let folders = seat.folder.ancestors();
        folders.map(move |folder| folder.join(&name))
    }
}
