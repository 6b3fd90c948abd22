//! Prints the definitions of Heddle's own kinds, for the chart `heddle-crds`.

use std::error::Error;

use heddle_resources::AuthorizationPolicy;
use kube::CustomResourceExt;

fn main() -> Result<(), Box<dyn Error>> {
    print!("{}", serde_saphyr::to_string(&AuthorizationPolicy::crd())?);
    Ok(())
}
