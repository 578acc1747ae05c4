//! Where a command computes.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;

use crate::failure::Failure;
use crate::launch::Launch;

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

    /// As [`Self::open`], as one of the processes that were started together: of GPUs one of its own.
    ///
    /// # Errors
    ///
    /// As [`Self::open`], and fewer GPUs than processes on this machine.
    pub fn open_as_rank(&self) -> Result<Device, Failure> {
        match (self.device, Launch::of_environment()) {
            (DeviceName::Cuda(_), Some(launch)) if cfg!(feature = "cuda") => {
                let gpu = Self {
                    device: DeviceName::Cuda(self.gpu_of(&launch)?),
                };
                gpu.open()
            }
            _ => self.open(),
        }
    }

    /// The number of the GPU of a process of `launch`.
    ///
    /// # Errors
    ///
    /// Fewer GPUs than processes on this machine where each sees several, no word on which is whose, and a GPU that is named for
    /// all of them.
    pub fn gpu_of(&self, launch: &Launch) -> Result<usize, Failure> {
        let found = self.device.gpu_of(launch, visible_gpus());
        found.map_err(|message| Failure::bad_input(format!("--device {self}: {message}")))
    }

    /// Whether it is the processor.
    pub fn is_cpu(&self) -> bool {
        self.device == DeviceName::Cpu
    }

    /// Whether it is a GPU of Apple's, of which a machine has one.
    pub fn is_metal(&self) -> bool {
        self.device == DeviceName::Metal
    }

    fn missing(&self, feature: &str) -> Failure {
        Failure::bad_input(format!(
            "--device {self}: this program was built without it: build it with \
             cargo build --release --features {feature}"
        ))
    }
}

impl DeviceName {
    /// The GPU of a process of `launch` that sees `visible` of them.
    fn gpu_of(self, launch: &Launch, visible: usize) -> Result<usize, String> {
        if let Self::Cuda(number @ 1..) = self {
            return Err(format!(
                "{} processes cannot share GPU {number}: with --device cuda each takes one of its own",
                launch.size
            ));
        }
        match (visible, launch.local_rank) {
            // Where the starter gives each process a GPU (srun --gpus-per-task=1) it sees no other one; NCCL refuses one that
            // two processes take.
            (1, _) => Ok(0),
            (2.., None) => Err(format!(
                "{} does not say which of the {visible} GPUs this process is to take: let each process see one (CUDA_VISIBLE_DEVICES)",
                launch.starter
            )),
            (_, Some(local_rank)) if local_rank < visible => Ok(local_rank),
            (_, local_rank) => Err(format!(
                "process {} of this machine, from 0, has no GPU: there are {visible}",
                local_rank.unwrap_or(0)
            )),
        }
    }
}

/// GPUs that this process may use.
fn visible_gpus() -> usize {
    #[cfg(feature = "cuda")]
    {
        use candle_core::cuda_backend::cudarc::driver::CudaContext;
        CudaContext::device_count().map_or(0, |count| usize::try_from(count).unwrap_or(0))
    }
    #[cfg(not(feature = "cuda"))]
    0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_of_a_machine_takes_a_gpu_of_its_own() {
        let launch = |local_rank| Launch {
            starter: "torchrun",
            rank: 5,
            size: 8,
            local_rank: Some(local_rank),
            local_size: Some(4),
            has_mpi: false,
        };
        for (device, local_rank, visible, want) in [
            (0, 0, 4, Ok(0)),
            (0, 3, 4, Ok(3)),
            (0, 3, 1, Ok(0)),
            (
                0,
                2,
                2,
                Err("process 2 of this machine, from 0, has no GPU: there are 2"),
            ),
            (0, 0, 0, Err("there are 0")),
            (1, 0, 4, Err("8 processes cannot share GPU 1")),
        ] {
            let got = DeviceName::Cuda(device).gpu_of(&launch(local_rank), visible);
            match (&got, want) {
                (Ok(got), Ok(want)) if *got == want => {}
                (Err(got), Err(want)) if got.contains(want) => {}
                _ => panic!("process {local_rank}, {visible} GPUs: got {got:?}, want {want:?}"),
            }
        }
    }
}
