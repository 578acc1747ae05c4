//! What every source of data can do.

use pfgmpp_hub::Hub;

use crate::error::DataError;
use crate::splits::Splits;

/// A place that a data set comes from.
pub(crate) trait Source {
    /// A short name: the set's own, or the file name of an archive or folder.
    fn name(&self) -> String;

    /// Brings here what lies on the Hub and not in the cache.
    fn fetch(&self, _hub: &Hub) -> Result<(), DataError> {
        Ok(())
    }

    /// Reads the data set and divides it by its fixed rule.
    fn load(&self) -> Result<Splits, DataError>;

    /// The same, with what lies on the Hub from the cache of `hub`.
    fn load_from(&self, _hub: &Hub) -> Result<Splits, DataError> {
        self.load()
    }
}
