//! The bootstrap document (gRFC A27, A29, A36, A65). Pure.

use std::{path::Path, str::FromStr};

use heddle_identity::SpiffeId;
use heddle_proto::names::{GRPC_CERTIFICATE_PROVIDER, GRPC_SERVER_PREFIX, ROLE, ROLE_GRPC};
use serde_json::{Value, json};

/// A pod, as `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pod(String);

impl FromStr for Pod {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |name: &str| {
            let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            (1..=253).contains(&name.len())
                && name.bytes().all(|b| letters(b) || b == b'-' || b == b'.')
        };
        match text.split_once('/') {
            Some((namespace, name)) if fits(namespace) && fits(name) => Ok(Self(text.to_owned())),
            _ => Err("expected <namespace>/<pod>, as in shop/cart-7d4".to_owned()),
        }
    }
}

/// What stands in it.
pub(super) struct Document<'a> {
    /// `host:port`.
    pub(super) control_plane: &'a str,
    pub(super) identity: &'a SpiffeId,
    pub(super) pod: Option<&'a Pod>,
    /// Where the files lie, absolute.
    pub(super) folder: &'a Path,
    /// How often gRPC looks at them, in seconds.
    pub(super) refresh: u64,
    pub(super) ignore_resource_deletion: bool,
}

impl Document<'_> {
    pub(super) fn json(&self) -> String {
        let mut server = json!({
            "server_uri": format!("dns:///{}", self.control_plane),
            // The certificate says who we are: there is no token in a bootstrap (gRFC A97 is behind a switch).
            "channel_creds": [{"type": "tls", "config": self.files()}],
        });
        if self.ignore_resource_deletion {
            server["server_features"] = json!(["ignore_resource_deletion"]);
        }
        let mut document = json!({
            "xds_servers": [server],
            "node": {
                "id": self.identity.to_string(),
                "cluster": format!("{}/{}", self.identity.namespace, self.identity.service_account),
                "metadata": {ROLE: ROLE_GRPC},
            },
            "certificate_providers": {
                GRPC_CERTIFICATE_PROVIDER: {"plugin_name": "file_watcher", "config": self.files()},
            },
        });
        if let Some(Pod(pod)) = self.pod {
            let template = format!("{GRPC_SERVER_PREFIX}{pod}/%s");
            document["server_listener_resource_name_template"] = template.into();
        }
        format!("{document:#}\n")
    }

    fn files(&self) -> Value {
        let file = |name| self.folder.join(name).to_string_lossy().into_owned();
        json!({
            "certificate_file": file(super::folder::CERTIFICATE),
            "private_key_file": file(super::folder::KEY),
            "ca_certificate_file": file(super::folder::ROOTS),
            "refresh_interval": format!("{}s", self.refresh),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(pod: Option<&Pod>, keep: bool) -> Value {
        let identity = "spiffe://cluster.local/ns/shop/sa/cart".parse().unwrap();
        let document = Document {
            control_plane: "heddle.example:15012",
            identity: &identity,
            pod,
            folder: Path::new("/run/heddle"),
            refresh: 60,
            ignore_resource_deletion: keep,
        };
        serde_json::from_str(&document.json()).unwrap()
    }

    #[test]
    fn a_client_shows_its_certificate_to_the_control_plane_and_has_no_listener_of_its_own() {
        let document = document(None, false);
        let server = &document["xds_servers"][0];
        assert_eq!(server["server_uri"], "dns:///heddle.example:15012");
        assert_eq!(server["channel_creds"][0]["type"], "tls");
        let files = &server["channel_creds"][0]["config"];
        assert_eq!(files["private_key_file"], "/run/heddle/key.pem");
        assert_eq!(files["refresh_interval"], "60s");
        let provider = &document["certificate_providers"]["default"];
        assert_eq!(&provider["config"], files);
        assert_eq!(document["node"]["metadata"]["role"], "grpc");
        assert!(
            document
                .get("server_listener_resource_name_template")
                .is_none()
        );
        assert!(server.get("server_features").is_none());
    }

    #[test]
    fn a_server_asks_for_the_listener_of_its_pod() {
        let pod: Pod = "shop/cart-7d4".parse().unwrap();
        let document = document(Some(&pod), true);
        let template = &document["server_listener_resource_name_template"];
        assert_eq!(template, "grpc/shop/cart-7d4/%s");
        let features = &document["xds_servers"][0]["server_features"];
        assert_eq!(features, &json!(["ignore_resource_deletion"]));
    }

    #[test]
    fn a_pods_name_that_could_change_the_template_is_refused() {
        for bad in ["cart", "shop/", "/cart", "shop/a/b", "shop/%s", "Shop/cart"] {
            assert!(bad.parse::<Pod>().is_err(), "{bad}");
        }
    }
}
