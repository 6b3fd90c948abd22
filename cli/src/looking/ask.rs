//! The question, to each control plane.

use anyhow::bail;
use heddle_proto::envoy::{
    service::status::v3::{
        ClientStatusRequest,
        client_status_discovery_service_client::ClientStatusDiscoveryServiceClient,
    },
    r#type::matcher::v3::{NodeMatcher, StringMatcher, string_matcher::MatchPattern},
};

use super::{certificates::Certificates, client::Client, reach::Reach, text::printable};

/// More than the server sends.
const ANSWER_BYTES: usize = 80 << 20;

/// What to ask for.
#[derive(Clone, Copy)]
pub(super) enum Question<'a> {
    /// All clients in short.
    Overview,
    /// One client with all contents.
    Client(&'a str),
}

/// The clients of all control planes, by name; and what could not be asked.
pub(super) async fn ask(
    reach: &Reach,
    question: Question<'_>,
) -> anyhow::Result<(Vec<Client>, Vec<String>)> {
    let (control_planes, mut problems) = reach.all().await?;
    let mut clients: Vec<Client> = Vec::new();
    let mut certificates = Certificates::default();
    let mut answered = false;
    for control_plane in control_planes {
        if matches!(question, Question::Overview) {
            certificates.ask(control_plane.channel.clone()).await;
        }
        let mut service = ClientStatusDiscoveryServiceClient::new(control_plane.channel)
            .max_decoding_message_size(ANSWER_BYTES);
        match service.fetch_client_status(request(question)).await {
            Ok(answer) => {
                answered = true;
                let configs = answer.into_inner().config;
                clients.extend(configs.into_iter().map(Client::from));
            }
            Err(status) => problems.push(format!(
                "{}: {}",
                control_plane.name,
                printable(status.message())
            )),
        }
    }
    if !answered {
        bail!(problems.join("\n"));
    }
    for client in &mut clients {
        if let Some(end) = certificates.first_end(&client.identity) {
            client.certificate_expires = Some(end);
        }
    }
    clients.sort_by(|a, b| (&a.name, a.stream).cmp(&(&b.name, b.stream)));
    Ok((clients, problems))
}

fn request(question: Question<'_>) -> ClientStatusRequest {
    match question {
        Question::Overview => ClientStatusRequest {
            exclude_resource_contents: true,
            ..ClientStatusRequest::default()
        },
        Question::Client(name) => ClientStatusRequest {
            node_matchers: vec![NodeMatcher {
                node_id: Some(StringMatcher {
                    match_pattern: Some(MatchPattern::Exact(name.to_owned())),
                    ..StringMatcher::default()
                }),
                ..NodeMatcher::default()
            }],
            ..ClientStatusRequest::default()
        },
    }
}
