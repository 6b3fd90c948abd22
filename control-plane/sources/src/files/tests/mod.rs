mod bad_input;
mod changes;
mod watching;

use std::{fs, path::Path};

use heddle_resources::{ChangeSet, Cluster, Kind, ObjectId};
use tempfile::TempDir;

use super::{batch::Visit, folder::Folder, scan::Suspects};
use crate::Update;

/// A folder of YAML that can be written and read again.
struct Manifests {
    folder: TempDir,
    read: Folder,
}

impl Manifests {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        for (name, text) in files {
            write(folder.path(), name, text);
        }
        let read = Folder::open(folder.path().to_owned()).unwrap();
        Self { folder, read }
    }

    fn write(&self, name: &str, text: &str) {
        write(self.folder.path(), name, text);
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path().join(name)).unwrap();
    }

    fn refresh(&mut self) -> Update {
        // Two writes within one tick of the clock look the same from outside; here everything is looked into.
        self.read.refresh(&Visit::now(Suspects::All))
    }
}

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn service(name: &str, port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: {port}}}]}}\n"
    )
}

fn id(kind: Kind, name: &str) -> ObjectId {
    ObjectId {
        kind,
        namespace: "default".into(),
        name: name.into(),
    }
}

fn services(names: &[&str]) -> ChangeSet {
    names.iter().map(|name| id(Kind::Service, name)).collect()
}

fn port(cluster: &Cluster, name: &str) -> Option<i32> {
    let service = cluster.services.get(&("default".into(), name.into()))?;
    Some(service.spec.as_ref()?.ports.as_ref()?[0].port)
}

fn shown(update: &Update) -> Vec<String> {
    update.problems.iter().map(ToString::to_string).collect()
}
