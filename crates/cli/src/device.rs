//! Where a command computes.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;

use crate::failure::Failure;

/// The flag of every command that computes.
#[derive(clap::Args)]
pub struct DeviceArgs {
    /// Where to compute: cpu, cuda, cuda:N or metal; a GPU needs a program built with that feature
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceName::Cpu)]
    device: DeviceName,
}

/// A device by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeviceName {
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
    Metal,
}

impl DeviceArgs {
    /// Opens the device.
    ///
    /// # Errors
    ///
    /// A device that this program was not built for, or that is not there.
    pub fn open(&self) -> Result<Device, Failure> {
        let opened = match self.device {
            DeviceName::Cpu => return Ok(Device::Cpu),
            DeviceName::Cuda(_) if !cfg!(feature = "cuda") => return Err(self.missing("cuda")),
            DeviceName::Metal if !cfg!(feature = "metal") => return Err(self.missing("metal")),
            DeviceName::Cuda(number) => Device::new_cuda(number),
            DeviceName::Metal => Device::new_metal(0),
        };
        opened.map_err(|e| Failure::bad_input(format!("--device {self}: {e}")))
    }

    /// Whether it is the processor.
    pub fn is_cpu(&self) -> bool {
        self.device == DeviceName::Cpu
    }

    fn missing(&self, feature: &str) -> Failure {
        Failure::bad_input(format!(
            "--device {self}: this program was built without it: build it with \
             cargo build --release --features {feature}"
        ))
    }
}

impl fmt::Display for DeviceArgs {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.device.fmt(f)
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

impl FromStr for DeviceName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix("cuda:").map(str::parse);
        match (text, number) {
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            ("metal", _) => Ok(Self::Metal),
            (_, Some(Ok(number))) => Ok(Self::Cuda(number)),
            _ => Err("must be cpu, cuda, cuda:N or metal"),
        }
    }
}
