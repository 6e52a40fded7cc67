//! The container engine of this machine: an image of the stand-in, and what becomes of containers made from it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::standin::{self, docker};
use super::{processes, wait_for};

/// What the harness puts on every container.
const LABEL: &str = "io.crate.cratedb-test.project";

/// One test's view of the engine: containers of an image with a unique name, so that tests don't see each other's.
pub struct TestEngine {
    image: String,
    /// Others, which are gone with this.
    versions: Vec<String>,
    /// `CRATEDB_TEST_DIR` of the runs.
    pub dir: tempfile::TempDir,
    events: Events,
}

/// What the engine did since the test began.
struct Events {
    follower: Child,
    seen: Arc<Mutex<Vec<Value>>>,
}

/// A container that was made, gone or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    pub name: String,
    /// The project directory on its label.
    pub project: String,
    pub image: String,
    /// The volumes that it has mounted.
    pub volumes: BTreeSet<String>,
}

impl TestEngine {
    /// None without an engine, with the reason on descriptor 2.
    pub fn with_stand_in() -> Option<Self> {
        Some(Self::with(&standin::image()?))
    }

    /// With the real one; none without an engine or where it has no such image, with the reason on descriptor 2.
    pub fn with_real() -> Option<Self> {
        const IMAGE: &str = "crate:6.4.3";
        match docker(&["image", "inspect", "--format", "{{.Id}}", IMAGE]) {
            Ok(_) => Some(Self::with(IMAGE)),
            Err(why) => {
                super::skip("crate-image", &format!("no engine has the image {IMAGE}: {why}"));
                None
            }
        }
    }

    fn with(original: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let image = format!("{original}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        docker(&["tag", original, &image]).unwrap();
        // Short, for the socket's path.
        let dir = tempfile::Builder::new().prefix("ct").tempdir_in("/tmp").unwrap();
        Self { image, versions: Vec::new(), dir, events: Events::follow() }
    }

    /// The same with images that claim to be these versions of CrateDB: the tag, and what the server says.
    pub fn with_versions(versions: &[(&str, &str)]) -> Option<Self> {
        let mut engine = Self::with_stand_in()?;
        // Of the original, whose containers nobody counts.
        let container = docker(&["create", &standin::image()?]).unwrap();
        let name = engine.image.replace(':', "-");
        let images = versions.iter().map(|(tag, version)| {
            let image = format!("{name}:{tag}");
            let change = format!("ENV CRATE_STAND_IN_VERSION={version}");
            docker(&["commit", "--change", &change, &container, &image]).unwrap();
            image
        });
        engine.versions = images.collect();
        docker(&["rm", "-v", &container]).unwrap();
        Some(engine)
    }

    /// One of the images with a version.
    pub fn image_of(&self, tag: &str) -> &str {
        self.versions.iter().find(|image| image.ends_with(&format!(":{tag}"))).unwrap()
    }

    fn is_ours(&self, image: &str) -> bool {
        self.image == image || self.versions.iter().any(|version| version == image)
    }

    pub fn environment(&self) -> HashMap<String, String> {
        [
            ("CRATEDB_TEST_IMAGE", self.image.clone()),
            ("CRATEDB_TEST_DIR", self.dir.path().display().to_string()),
            ("CRATEDB_TEST_LOG", "debug".into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Every container that was made from the image, first to last.
    pub fn made(&self) -> Vec<Made> {
        let mut made: Vec<(String, Made)> = Vec::new();
        let mut volumes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for event in self.events.seen.lock().unwrap().iter() {
            let (actor, text) = (&event["Actor"], |value: &Value| value.as_str().unwrap_or_default().to_owned());
            let (id, attributes) = (text(&actor["ID"]), &actor["Attributes"]);
            match (event["Type"].as_str(), event["Action"].as_str()) {
                (Some("container"), Some("create")) if self.is_ours(&text(&attributes["image"])) => {
                    let (name, project) = (text(&attributes["name"]), text(&attributes[LABEL]));
                    let image = text(&attributes["image"]);
                    made.push((id, Made { name, project, image, volumes: BTreeSet::new() }));
                }
                (Some("volume"), Some("mount")) => {
                    volumes.entry(text(&attributes["container"])).or_default().insert(id);
                }
                _ => {}
            }
        }
        made.into_iter().map(|(id, made)| Made { volumes: volumes.remove(&id).unwrap_or_default(), ..made }).collect()
    }

    #[track_caller]
    pub fn wait_for_made(&self, count: usize) {
        wait_for("containers", || match self.made() {
            made if made.len() == count => Ok(()),
            made => Err((made, self.log())),
        });
    }

    /// Names of the containers that are there, running or not.
    pub fn containers(&self) -> Vec<String> {
        let filter = format!("label={LABEL}");
        let listed = docker(&["ps", "-a", "--filter", &filter, "--format", "{{.Names}} {{.Image}}"]).unwrap();
        let ours = listed.lines().filter_map(|line| line.split_once(' ')).filter(|(_, image)| self.is_ours(image));
        ours.map(|(name, _)| name.to_owned()).collect()
    }

    /// Waits until all processes have ended, and compares how many containers the run made. None of them may be left,
    /// nor a volume.
    #[track_caller]
    pub fn ends_with(&self, made: usize) {
        wait_for("the keeper's end", || match processes::keepers(self.dir.path()) {
            none if none.is_empty() => Ok(()),
            some => Err((some, self.log())),
        });
        assert_eq!(self.containers(), Vec::<String>::new(), "containers are left; the keeper's log:\n{}", self.log());
        self.wait_for_made(made);
        let left = docker(&["volume", "ls", "--quiet"]).unwrap();
        for container in self.made() {
            let kept: Vec<&String> = container.volumes.iter().filter(|name| left.contains(name.as_str())).collect();
            assert_eq!(kept, Vec::<&String>::new(), "volumes of {} are left", container.name);
        }
    }

    pub fn log(&self) -> String {
        let files = std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let logs = files.filter(|path| path.extension().is_some_and(|kind| kind == "log"));
        logs.map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect()
    }
}

impl Drop for TestEngine {
    fn drop(&mut self) {
        for name in self.containers() {
            let _ = docker(&["rm", "-v", "-f", &name]);
        }
        for image in self.versions.iter().chain([&self.image]) {
            let _ = docker(&["image", "rm", image]);
        }
    }
}

impl Events {
    fn follow() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
        let mut command = Command::new("docker");
        command.args(["events", "--since", &now, "--format", "{{json .}}"]).stdin(Stdio::null());
        let mut follower = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(follower.stdout.take().unwrap()).lines();
        let seen = Arc::<Mutex<Vec<Value>>>::default();
        let kept = seen.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self { follower, seen }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.follower.kill();
        let _ = self.follower.wait();
    }
}
