//! Actors: Gs that own their state and talk over channels.
//!
//! A bank owns the accounts. Its clients send it requests over an mpsc channel; each request
//! carries a oneshot channel for the answer. One client panics half-way, and neither the bank nor
//! the other clients notice: whoever joins it gets a `JoinError`. An auditor that would wait
//! forever is aborted. The bank is shut down in good order: when the last sender is gone it
//! serves what is left in its mailbox and returns its books.
//!
//! ```text
//! $ cargo run --release --example actors
//! ada: balance 70
//! bob: refused, 15 is less than 100
//! eve: panicked: eve reads a balance that is not there
//! auditor: saw 5 requests
//! auditor: aborted
//! books: ada 70, bob 15, eve 40
//! ```
//!
//! The panic's own message goes to standard error, as that of a thread would.

use runnext::sync::{mpsc, oneshot, watch};
use runnext::task::{JoinError, JoinSet};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

#[runnext::main]
async fn main() {
    let (bank, requests) = Bank::open();
    let books = runnext::spawn(serve(requests));
    let auditor = runnext::spawn(audit(Auditor(bank.served.clone())));

    // Clients run side by side. A `JoinSet` tells of each as it ends, under the id of its G.
    let mut clients = JoinSet::new();
    let mut names = HashMap::new();
    names.insert(clients.spawn(ada(bank.clone())).id(), "ada");
    names.insert(clients.spawn(bob(bank.clone())).id(), "bob");
    names.insert(clients.spawn(eve(bank.clone())).id(), "eve");

    let mut reports = BTreeMap::new();
    while let Some(ended) = clients.join_next_with_id().await {
        let (id, report) = match ended {
            Ok((id, Ok(balance))) => (id, format!("balance {balance}")),
            Ok((id, Err(refusal))) => (id, format!("refused, {refusal}")),
            Err(error) => (error.id(), describe(error)),
        };
        reports.insert(names[&id], report);
    }
    for (name, report) in reports {
        println!("{name}: {report}");
    }

    // The auditor would watch for as long as there is a bank. `abort` drops its future, and with
    // it the `Auditor`, before whoever waits for it is told.
    auditor.abort();
    if let Err(error) = auditor.await {
        println!("auditor: {}", describe(error));
    }

    // Dropping the last `Bank` closes the mailbox. Nothing that was sent is lost.
    drop(bank);
    let books = books.await.expect("the bank does not panic");
    let books: Vec<_> = books
        .iter()
        .map(|(who, has)| format!("{who} {has}"))
        .collect();
    println!("books: {}", books.join(", "));
}

/// What ended a G that did not return.
fn describe(error: JoinError) -> String {
    if error.is_cancelled() {
        return "aborted".to_owned();
    }
    let panic = error.into_panic();
    let message = panic.downcast_ref::<&str>().copied();
    format!("panicked: {}", message.unwrap_or("no message"))
}

// ---- The bank ----------------------------------------------------------------------------

type Who = &'static str;

/// What clients ask of the bank, each with the channel that takes the answer.
enum Request {
    Deposit {
        to: Who,
        amount: u64,
        answer: oneshot::Sender<u64>,
    },
    Withdraw {
        from: Who,
        amount: u64,
        answer: oneshot::Sender<Result<u64, Refusal>>,
    },
}

/// A withdrawal of more than there is.
#[derive(Debug)]
struct Refusal {
    has: u64,
    asked: u64,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is less than {}", self.has, self.asked)
    }
}

/// What the bank's actor holds: the accounts are its own, so there is no lock.
struct Mailbox {
    requests: mpsc::Receiver<Request>,
    served: watch::Sender<usize>,
}

/// The bank's actor. It returns its books when the last client is gone.
async fn serve(mut mailbox: Mailbox) -> BTreeMap<Who, u64> {
    let mut books = BTreeMap::new();
    while let Some(request) = mailbox.requests.recv().await {
        // Counted first: whoever has an answer knows that its request is in the count.
        mailbox.served.send_modify(|served| *served += 1);
        // A client may be gone before its answer comes; that is its own affair.
        match request {
            Request::Deposit { to, amount, answer } => {
                let balance = books.entry(to).or_insert(0);
                *balance += amount;
                let _ = answer.send(*balance);
            }
            Request::Withdraw {
                from,
                amount,
                answer,
            } => {
                let balance = books.entry(from).or_insert(0);
                let _ = answer.send(match balance.checked_sub(amount) {
                    Some(rest) => {
                        *balance = rest;
                        Ok(rest)
                    }
                    None => Err(Refusal {
                        has: *balance,
                        asked: amount,
                    }),
                });
            }
        }
    }
    books
}

/// A client's end of the bank.
#[derive(Clone)]
struct Bank {
    requests: mpsc::Sender<Request>,
    served: watch::Receiver<usize>,
}

impl Bank {
    /// A bank's two ends. The mailbox holds four requests; whoever sends a fifth waits.
    fn open() -> (Bank, Mailbox) {
        let (to_bank, requests) = mpsc::channel(4);
        let (count, served) = watch::channel(0);
        let bank = Bank {
            requests: to_bank,
            served,
        };
        let mailbox = Mailbox {
            requests,
            served: count,
        };
        (bank, mailbox)
    }

    async fn deposit(&self, to: Who, amount: u64) -> u64 {
        let (answer, answered) = oneshot::channel();
        self.send(Request::Deposit { to, amount, answer }).await;
        answered.await.expect(BANK_IS_OPEN)
    }

    async fn withdraw(&self, from: Who, amount: u64) -> Result<u64, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.send(Request::Withdraw {
            from,
            amount,
            answer,
        })
        .await;
        answered.await.expect(BANK_IS_OPEN)
    }

    async fn send(&self, request: Request) {
        // `is_err` because the error would hand the request back, which nobody needs here.
        assert!(self.requests.send(request).await.is_ok(), "{BANK_IS_OPEN}");
    }
}

const BANK_IS_OPEN: &str = "the bank serves for as long as it has clients";

// ---- Those who talk to it ----------------------------------------------------------------

async fn ada(bank: Bank) -> Result<u64, Refusal> {
    bank.deposit("ada", 100).await;
    bank.withdraw("ada", 30).await
}

async fn bob(bank: Bank) -> Result<u64, Refusal> {
    bank.deposit("bob", 15).await;
    bank.withdraw("bob", 100).await
}

async fn eve(bank: Bank) -> Result<u64, Refusal> {
    bank.deposit("eve", 40).await;
    panic!("eve reads a balance that is not there");
}

/// Watches how many requests the bank has received, and tells when it is dropped.
struct Auditor(watch::Receiver<usize>);

impl Drop for Auditor {
    fn drop(&mut self) {
        println!("auditor: saw {} requests", *self.0.borrow());
    }
}

async fn audit(mut auditor: Auditor) {
    while auditor.0.changed().await.is_ok() {}
}
