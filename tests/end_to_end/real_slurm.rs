//! A real Slurm of two nodes on this machine, for tests of jobs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::program::{output, stderr, stdout};

/// Slurm, started for a test.
pub struct Slurm {
    folder: tempfile::TempDir,
    /// The daemon that takes jobs, and the two nodes.
    pub children: Vec<Child>,
    /// Its ports are the same for every test.
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

impl Slurm {
    /// Starts it; `None` where it is not installed.
    pub fn start() -> Option<Self> {
        let there = |name: &str| Command::new(name).arg("-V").output().is_ok();
        if !["slurmctld", "slurmd", "sbatch"]
            .iter()
            .all(|name| there(name))
        {
            println!("Slurm is not installed: jobs were not submitted");
            return None;
        }
        let user = stdout(&output({
            let mut id = Command::new("id");
            id.arg("-u");
            id
        }));
        if user.trim() != "0" {
            println!("only root starts Slurm here: jobs were not submitted");
            return None;
        }
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        fs::set_permissions(place, fs::Permissions::from_mode(0o755)).unwrap();
        for name in [
            "state", "spool/n0", "spool/n1", "run", "log", "tmp/n0", "tmp/n1", "munge",
        ] {
            fs::create_dir_all(place.join(name)).unwrap();
        }
        let munge = place.join("munge");
        fs::set_permissions(&munge, fs::Permissions::from_mode(0o711)).unwrap();
        let key: Vec<u8> = (0..1024u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        let key_file = munge.join("munge.key");
        fs::write(&key_file, key).unwrap();
        fs::set_permissions(&key_file, fs::Permissions::from_mode(0o400)).unwrap();
        let path = |name: &str| place.join(name).display().to_string();
        let munged = Command::new("munged")
            .args(["--force", "--key-file", &path("munge/munge.key")])
            .args(["--socket", &path("munge/munge.sock")])
            .args(["--pid-file", &path("munge/munged.pid")])
            .args(["--log-file", &path("munge/munged.log")])
            .args(["--seed-file", &path("munge/munged.seed")])
            .output()
            .ok()?;
        if !munged.status.success() {
            println!(
                "munged does not start here: jobs were not submitted: {}",
                stderr(&munged)
            );
            return None;
        }
        fs::write(place.join("slurm.conf"), configuration(place)).unwrap();
        let mut slurm = Self {
            children: vec![daemon(&folder, "slurmctld", &[])],
            folder,
            _alone: alone,
        };
        slurm.restart_nodes();
        slurm.wait(|slurm| slurm.says("sinfo", &["-h", "-o", "%T"]).contains("idle"));
        Some(slurm)
    }

    /// Starts the nodes, in place of any that were there.
    pub fn restart_nodes(&mut self) {
        self.children.truncate(1);
        for node in ["n0", "n1"] {
            let node = daemon(&self.folder, "slurmd", &["-N", node]);
            self.children.push(node);
        }
    }

    /// `command`, as a job or a question for this Slurm.
    pub fn of(&self, mut command: Command) -> Command {
        command.env("SLURM_CONF", self.folder.path().join("slurm.conf"));
        command
    }

    /// What a program of Slurm says.
    pub fn says(&self, program: &str, flags: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(flags);
        stdout(&output(self.of(command)))
    }

    /// Waits for a while `until` it is so.
    pub fn wait(&self, until: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !until(self) {
            if began.elapsed() > Duration::from_secs(180) {
                let queue = self.says("squeue", &["-r", "-t", "all"]);
                panic!("Slurm does not come to its end: {queue}");
            }
            sleep(Duration::from_millis(200));
        }
    }
}

/// Starts a program of the Slurm in `folder`.
fn daemon(folder: &tempfile::TempDir, program: &str, flags: &[&str]) -> Child {
    let configuration = folder.path().join("slurm.conf");
    Command::new(program)
        .args(["-D", "-f"])
        .arg(&configuration)
        .args(flags)
        .env("SLURM_CONF", &configuration)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

impl Drop for Slurm {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let pid = fs::read_to_string(self.folder.path().join("munge/munged.pid"));
        if let Ok(pid) = pid {
            let _ = Command::new("kill").arg(pid.trim()).output();
        }
    }
}

fn configuration(place: &Path) -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let host = host.trim().split('.').next().unwrap();
    // Ports of this process alone, so that two tests do not meet.
    let port = 20_000 + std::process::id() % 10_000 * 3;
    let d = place.display();
    format!(
        "ClusterName=t\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={port}\nAuthType=auth/munge\n\
         AuthInfo=socket={d}/munge/munge.sock,cred_expire=5\nCryptoType=crypto/munge\nSlurmUser=root\nSlurmdUser=root\n\
         StateSaveLocation={d}/state\nSlurmdSpoolDir={d}/spool/%n\nTmpFS={d}/tmp/%n\nSlurmctldPidFile={d}/run/slurmctld.pid\n\
         SlurmdPidFile={d}/run/slurmd.%n.pid\nSlurmctldLogFile={d}/log/slurmctld.log\nSlurmdLogFile={d}/log/slurmd.%n.log\n\
         ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSwitchType=switch/none\n\
         CommunicationParameters=NoInAddrAny,NoCtldInAddrAny\nMailProg=/bin/true\nMpiDefault=none\n\
         SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\nSchedulerType=sched/backfill\n\
         SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1\n\
         SlurmdParameters=config_overrides\nJobAcctGatherType=jobacct_gather/none\n\
         AccountingStorageType=accounting_storage/none\nReturnToService=2\nJobRequeue=1\nMinJobAge=3600\n\
         SlurmctldTimeout=30\nSlurmdTimeout=5\nInactiveLimit=0\nKillWait=3\nWaittime=0\n\
         NodeName=n[0-1] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{}-{}] CPUs=2 RealMemory=2000 State=UNKNOWN\n\
         PartitionName=p Nodes=n[0-1] Default=YES MaxTime=INFINITE State=UP\n",
        port + 1,
        port + 2,
    )
}
