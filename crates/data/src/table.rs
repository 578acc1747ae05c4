//! Data sets that are tables whose columns were standardised.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use crate::columns::Column;
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::labels::Labels;
use crate::storage::Storage;

impl Dataset {
    /// Rows `[n, C, H, W]`, `f32`, contiguous and in host memory, whose `columns`, one for each value of a row, were standardised: any
    /// values that are finite.
    pub(crate) fn table(
        name: impl Into<String>,
        rows: Tensor,
        labels: Labels,
        columns: Arc<[Column]>,
    ) -> Result<Self, DataError> {
        let (num, channels, height, width) = rows.dims4()?;
        let shape = [channels, height, width];
        let mut set = Self::of(name.into(), Storage::Values(rows), (num, shape), labels)?;
        let (n, mut found) = (set.n(), None);
        set.each(|values| found = values.iter().position(|value| !value.is_finite()))?;
        if let Some(place) = found {
            return Err(DataError::NotFinite {
                name: set.name().to_string(),
                row: place / n,
                column: columns[place % n].name.clone(),
            });
        }
        set.columns = Some(columns);
        Ok(set)
    }

    /// The same rows of a table as they would be kept with `columns`, which have the names of its own, in their order.
    ///
    /// # Errors
    ///
    /// [`DataError::Columns`] for data without columns, or with others.
    pub fn standardised_as(&self, columns: &[Column]) -> Result<Self, DataError> {
        let own = self.columns().unwrap_or_default();
        let names = |columns: &[Column]| {
            let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            names.join(", ")
        };
        if names(own) != names(columns) || own.len() != columns.len() {
            return Err(DataError::Columns {
                name: self.name().to_string(),
                want: names(columns),
                got: match own {
                    [] => "none that are standardised".to_string(),
                    own => names(own),
                },
            });
        }
        if own == columns {
            return Ok(self.clone());
        }
        let mut kept = Vec::with_capacity(self.num_images() * self.n());
        self.each(|values| {
            let pairs = own.iter().zip(columns).cycle();
            let values = values.iter().zip(pairs);
            kept.extend(values.map(|(&v, (own, new))| new.kept(own.value(f64::from(v))) as f32));
        })?;
        let [channels, height, width] = self.image_shape();
        let shape = (self.num_images(), channels, height, width);
        let rows = Tensor::from_vec(kept, shape, &Device::Cpu)?;
        Self::table(self.name(), rows, self.all_labels().clone(), columns.into())
    }
}
