//! The example service `samehost.greeter.v1.GreeterService`.

use std::{pin::Pin, time::Duration};

use async_stream::try_stream;
use tokio::time::sleep;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::proto::samehost::greeter::v1::{
    ConverseRequest, ConverseResponse, GreetInLanguagesRequest, GreetInLanguagesResponse, GreetRequest, GreetResponse,
    GreetTogetherRequest, GreetTogetherResponse, greeter_service_server::GreeterService,
};

const LANGUAGES: [&str; 5] = ["de", "en", "es", "fr", "ja"];
const MAX_NAME: usize = 256;
const MAX_TEXT: usize = 4096;
const MAX_INTERVAL_SECONDS: f64 = 60.0;

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[derive(Debug)]
pub struct Greeter;

#[async_trait]
impl GreeterService for Greeter {
    async fn greet(&self, request: Request<GreetRequest>) -> Result<Response<GreetResponse>, Status> {
        let name = check_name(&request.get_ref().name)?;
        Ok(Response::new(GreetResponse { message: english(name) }))
    }

    async fn greet_in_languages(
        &self,
        request: Request<GreetInLanguagesRequest>,
    ) -> Result<Response<Responses<GreetInLanguagesResponse>>, Status> {
        let GreetInLanguagesRequest { name, mut languages, interval } = request.into_inner();
        if let Some(unknown) = languages.iter().find(|language| !LANGUAGES.contains(&language.as_str())) {
            let known = LANGUAGES.join(", ");
            return Err(Status::invalid_argument(format!("invalid languages: {unknown:?}; use {known}")));
        }
        let pause = check_interval(interval.unwrap_or_default())?;
        check_name(&name)?;
        if languages.is_empty() {
            languages = LANGUAGES.map(String::from).into();
        }
        Ok(Response::new(Box::pin(try_stream! {
            for (position, language) in languages.into_iter().enumerate() {
                if position > 0 && !pause.is_zero() {
                    sleep(pause).await;
                }
                let message = greeting(&language, &name);
                yield GreetInLanguagesResponse { language, message };
            }
        })))
    }

    async fn greet_together(
        &self,
        request: Request<Streaming<GreetTogetherRequest>>,
    ) -> Result<Response<GreetTogetherResponse>, Status> {
        let mut requests = request.into_inner();
        let mut names = Vec::new();
        while let Some(GreetTogetherRequest { name }) = requests.message().await? {
            names.push(check_name(&name)?.to_owned());
        }
        let everyone = match names.as_slice() {
            [] => return Err(Status::invalid_argument("the stream has no request; send one name or more")),
            [only] => only.clone(),
            [others @ .., last] => format!("{} and {last}", others.join(", ")),
        };
        let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
        Ok(Response::new(GreetTogetherResponse { message: english(&everyone), count }))
    }

    async fn converse(
        &self,
        request: Request<Streaming<ConverseRequest>>,
    ) -> Result<Response<Responses<ConverseResponse>>, Status> {
        let mut turn = 0;
        Ok(Response::new(Box::pin(request.into_inner().map(move |request| {
            let text = request?.text;
            check_text(&text)?;
            turn += 1;
            let text = if text.is_empty() { "You said nothing.".into() } else { format!("You said: {text}") };
            Ok(ConverseResponse { text, turn })
        }))))
    }
}

fn english(name: &str) -> String {
    greeting("en", name)
}

fn greeting(language: &str, name: &str) -> String {
    match language {
        "de" => format!("Hallo, {name}!"),
        "es" => format!("¡Hola, {name}!"),
        "fr" => format!("Bonjour, {name} !"),
        "ja" => format!("こんにちは、{name}さん！"),
        _ => format!("Hello, {name}!"),
    }
}

fn check_name(name: &str) -> Result<&str, Status> {
    match name.chars().count() {
        1..=MAX_NAME => Ok(name),
        length => Err(Status::invalid_argument(format!("name has {length} characters; give 1 to {MAX_NAME}"))),
    }
}

fn check_text(text: &str) -> Result<(), Status> {
    match text.chars().count() {
        0..=MAX_TEXT => Ok(()),
        length => Err(Status::invalid_argument(format!("text has {length} characters; give at most {MAX_TEXT}"))),
    }
}

fn check_interval(interval: prost_types::Duration) -> Result<Duration, Status> {
    #[allow(clippy::cast_precision_loss)] // numbers that lose precision are above the limit
    let seconds = interval.seconds as f64 + f64::from(interval.nanos) / 1e9;
    if (0.0..=MAX_INTERVAL_SECONDS).contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err(Status::invalid_argument(format!("invalid interval: {seconds:?} seconds; use 0 to {MAX_INTERVAL_SECONDS}")))
}
