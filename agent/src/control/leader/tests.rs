//! Two candidates and one Lease: never two leaders, always one in the end.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::sync::oneshot;

use super::*;

/// Short, and in the same proportions.
const TIMING: Timing = Timing {
    lease: Duration::from_millis(1500),
    renew_deadline: Duration::from_millis(900),
    retry: Duration::from_millis(100),
};

/// A Lease in memory, with the API server's rule: written only on what was read.
#[derive(Clone, Default)]
struct Shelf {
    record: Arc<Mutex<Option<Record>>>,
    writes: Arc<AtomicUsize>,
}

/// One candidate's way to it.
struct Path {
    shelf: Shelf,
    cut: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl Leases for Path {
    async fn read(&self) -> Result<Option<Record>, LeaseError> {
        self.open()?;
        Ok(self.shelf.record.lock().unwrap().clone())
    }

    async fn write(&self, record: Record) -> Result<Record, LeaseError> {
        self.open()?;
        let mut present = self.shelf.record.lock().unwrap();
        if present.as_ref().and_then(|present| present.version.clone()) != record.version {
            return Err(LeaseError::Overtaken);
        }
        let version = Some(self.shelf.writes.fetch_add(1, Ordering::SeqCst).to_string());
        let record = Record { version, ..record };
        *present = Some(record.clone());
        Ok(record)
    }
}

impl Path {
    fn open(&self) -> Result<(), LeaseError> {
        if self.cut.load(Ordering::SeqCst) {
            return Err(LeaseError::Unavailable { name: "test".to_owned(), reason: "cut".to_owned() });
        }
        Ok(())
    }
}

/// Counts leaders while they lead.
#[derive(Clone, Default)]
struct Throne {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

struct Seat(Throne);

impl Throne {
    fn take(&self) -> Seat {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        Seat(self.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Candidate {
    cut: Arc<AtomicBool>,
    leads: Arc<AtomicBool>,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

fn candidate(name: &str, shelf: &Shelf, throne: &Throne) -> Candidate {
    let (cut, leads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let election = Election::new(Path { shelf: shelf.clone(), cut: cut.clone() }, name.to_owned(), TIMING);
    let (stop, stopped) = oneshot::channel::<()>();
    let (throne, leading) = (throne.clone(), leads.clone());
    let lead = move || {
        let (seat, leading) = (throne.take(), Flag(leading.clone()));
        async move {
            leading.0.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
            drop((seat, leading));
        }
    };
    let stopped = async {
        let _ = stopped.await;
    };
    Candidate { cut, leads, stop: Some(stop), task: tokio::spawn(election.run(lead, stopped)) }
}

/// Falls when what holds it is dropped.
struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

async fn until(what: &str, done: impl Fn() -> bool) {
    for _look in 0..500 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never happened: {what}");
}

fn leads(candidate: &Candidate) -> bool {
    candidate.leads.load(Ordering::SeqCst)
}

#[tokio::test]
async fn one_leads_and_the_other_follows_when_it_is_cut_off() {
    let (shelf, throne) = (Shelf::default(), Throne::default());
    let a = candidate("a", &shelf, &throne);
    until("a leads", || leads(&a)).await;
    let b = candidate("b", &shelf, &throne);
    tokio::time::sleep(2 * TIMING.lease).await;
    assert!(leads(&a) && !leads(&b), "a renews, so b waits");

    a.cut.store(true, Ordering::SeqCst);
    until("a stops by itself", || !leads(&a)).await;
    assert!(!leads(&b), "before anybody could have taken over");
    until("b leads", || leads(&b)).await;
    a.cut.store(false, Ordering::SeqCst);
    tokio::time::sleep(2 * TIMING.lease).await;
    assert!(leads(&b) && !leads(&a));
    assert_eq!(throne.most.load(Ordering::SeqCst), 1, "never two");
    let record = shelf.record.lock().unwrap().clone().unwrap();
    assert_eq!((record.holder.as_deref(), record.transitions), (Some("b"), 2));
    a.task.abort();
    b.task.abort();
}

#[tokio::test]
async fn a_leader_that_is_told_to_stop_gives_the_lease_up() {
    let (shelf, throne) = (Shelf::default(), Throne::default());
    let mut a = candidate("a", &shelf, &throne);
    until("a leads", || leads(&a)).await;
    let _ = a.stop.take().unwrap().send(());
    a.task.await.unwrap();
    assert_eq!(shelf.record.lock().unwrap().as_ref().unwrap().holder, None);
    let b = candidate("b", &shelf, &throne);
    until("b leads", || leads(&b)).await;
    assert_eq!(shelf.record.lock().unwrap().as_ref().unwrap().transitions, 2);
    b.task.abort();
}

#[tokio::test]
async fn of_many_that_begin_together_one_leads() {
    let (shelf, throne) = (Shelf::default(), Throne::default());
    let all: Vec<_> = ["a", "b", "c", "d"].map(|name| candidate(name, &shelf, &throne)).into();
    until("one leads", || all.iter().any(leads)).await;
    tokio::time::sleep(TIMING.lease).await;
    assert_eq!(throne.most.load(Ordering::SeqCst), 1);
    all.iter().for_each(|candidate| candidate.task.abort());
}
