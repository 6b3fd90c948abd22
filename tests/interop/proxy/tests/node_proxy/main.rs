//! The node proxy under go-control-plane, in both variants of xDS.
//!
//! Its server is written in Go and the proxy marks its sockets, which takes root; `scripts/interop.sh proxy` builds both and runs these
//! tests, which are ignored elsewhere.

mod bad;
mod ipv6;
mod tls;
mod traffic;

/// Each behaviour, in both variants.
#[macro_export]
macro_rules! in_both_variants {
    ($($name:ident),* $(,)?) => {
        mod delta {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                #[ignore = "needs the Go server and root: scripts/interop.sh proxy"]
                async fn $name() {
                    super::$name(heddle_interop_proxy::Variant::Delta).await.unwrap();
                }
            )*
        }
        mod world {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                #[ignore = "needs the Go server and root: scripts/interop.sh proxy"]
                async fn $name() {
                    super::$name(heddle_interop_proxy::Variant::World).await.unwrap();
                }
            )*
        }
    };
}
