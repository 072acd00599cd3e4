//! HTTPS in blocking style: rustls, which knows nothing of runnext, reads and writes in Gs with stacks.
//!
//! There is a G for each connection. It looks like the thread for each connection of old, and takes some
//! pages of memory rather than a thread. The certificate is made when the program starts, for `localhost`
//! only, and written where curl can read it. The first client is one of the program's own, in the same
//! style.
//!
//! ```text
//! $ cargo run --release --example https_server
//! our own client: HTTP/1.1 200 OK, over TLSv1_3
//! try: curl --cacert /tmp/runnext-https-1234.pem https://localhost:44943/
//! ```

#[cfg(not(stackful))]
fn main() {
    println!("there are no stackful tasks on this system");
}

#[cfg(stackful)]
use example::main;

#[cfg(stackful)]
mod example {
    use runnext::net::{TcpListener, TcpStream};
    use runnext::time::{Duration, timeout};
    use runnext::{go, stackful, wait};
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
    use std::error::Error;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::sync::Arc;
    use std::{env, fs, process};

    type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

    /// How long a client may take for everything.
    const PATIENCE: Duration = Duration::from_secs(10);
    /// How many bytes the head of a request may have.
    const HEAD: u64 = 16 * 1024;

    #[runnext::main(stackful)]
    pub(crate) fn main() {
        if let Err(error) = run() {
            eprintln!("error: {error}");
            process::exit(1);
        }
    }

    fn run() -> Result<()> {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let certificate = certified.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let server = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], PrivateKeyDer::from(key))?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate)?;
        let client = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();

        let listener = wait(TcpListener::bind("127.0.0.1:0"))?;
        let port = listener.local_addr()?.port();
        let listening = go(move || listen(&listener, &Arc::new(server)));

        println!("our own client: {}", get(port, client)?);
        let file = env::temp_dir().join(format!("runnext-https-{}.pem", process::id()));
        fs::write(&file, certified.cert.pem())?;
        println!(
            "try: curl --cacert {} https://localhost:{port}/",
            file.display()
        );
        wait(listening)?;
        Ok(())
    }

    fn listen(listener: &TcpListener, config: &Arc<ServerConfig>) {
        loop {
            match wait(listener.accept()) {
                Ok((stream, _peer)) => {
                    let config = config.clone();
                    let mut serving = go(move || serve(stream, config));
                    // A task of the other kind beside it. An abort unwinds the stack where it waits.
                    runnext::spawn(async move {
                        match timeout(PATIENCE, &mut serving).await {
                            Ok(Ok(Ok(()))) => {}
                            Ok(Ok(Err(error))) => eprintln!("a connection ended: {error}"),
                            Ok(Err(error)) => eprintln!("a connection's task ended: {error}"),
                            Err(_) => serving.abort(),
                        }
                    });
                }
                Err(error) => {
                    eprintln!("cannot accept a connection: {error}");
                    stackful::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    /// Reads a request and answers it. All that waits here is `std::io`.
    fn serve(mut stream: TcpStream, config: Arc<ServerConfig>) -> Result<()> {
        let mut tls = ServerConnection::new(config)?;
        let mut tls = rustls::Stream::new(&mut tls, &mut stream);

        let mut request = String::new();
        let mut head = BufReader::new((&mut tls).take(HEAD));
        head.read_line(&mut request)?;
        let mut field = String::new();
        while head.read_line(&mut field)? > 2 {
            field.clear();
        }

        let answer = format!("you asked: {}\n", request.trim_end());
        write!(
            tls,
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{answer}",
            answer.len(),
        )?;
        tls.conn.send_close_notify();
        tls.flush()?;
        Ok(())
    }

    /// Asks for `/`. Returns the status of the answer, and which TLS it came over.
    fn get(port: u16, config: ClientConfig) -> Result<String> {
        let mut stream = wait(TcpStream::connect(("127.0.0.1", port)))?;
        let name = ServerName::try_from("localhost")?;
        let mut tls = ClientConnection::new(Arc::new(config), name)?;
        let mut tls = rustls::Stream::new(&mut tls, &mut stream);

        tls.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        tls.read_to_string(&mut answer)?;
        let status = answer.lines().next().ok_or("no answer")?;
        let version = tls.conn.protocol_version().expect("the handshake is done");
        Ok(format!("{status}, over {version:?}"))
    }
}
