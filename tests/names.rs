//! Names, labels and ids of tasks.

mod common;

use common::{current_thread, multi_thread, on_each_flavor, run_until};
use runnext::runtime::Handle;
use runnext::task::{self, Builder, Id, LocalSet, block_in_place, spawn_blocking, yield_now};
use std::collections::HashSet;
use std::thread;

type Who = (Option<String>, Vec<(String, String)>);

fn who() -> Who {
    (task::name(), task::labels())
}

fn is(name: Option<&str>, labels: &[(&str, &str)]) -> Who {
    let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
    (name.map(str::to_owned), labels.iter().map(owned).collect())
}

#[test]
fn a_task_has_the_name_and_labels_that_it_was_given() {
    on_each_flavor(|rt| {
        let builder = Builder::new()
            .name("parser")
            .label("request", "17")
            .label("user", "é\n");
        let expected = is(Some("parser"), &[("request", "17"), ("user", "é\n")]);
        let on = builder
            .clone()
            .spawn_on(async { who() }, rt.handle())
            .unwrap();
        assert_eq!(rt.block_on(on).unwrap(), expected);
        rt.block_on(async {
            let task = builder.clone().spawn(async {
                yield_now().await;
                who()
            });
            assert_eq!(task.unwrap().await.unwrap(), expected);
            let closure = builder.clone().spawn_blocking(who).unwrap();
            assert_eq!(closure.await.unwrap(), expected);
            let set = LocalSet::new();
            let local = builder
                .clone()
                .spawn_local_on(async { who() }, &set)
                .unwrap();
            assert_eq!(set.run_until(local).await.unwrap(), expected);
            let local = set
                .run_until(async { builder.clone().spawn_local(async { who() }).unwrap().await });
            assert_eq!(local.await.unwrap(), expected);
        });
    });
}

#[test]
fn without_a_builder_there_are_none() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            assert_eq!(who(), is(None, &[]));
            assert_eq!(
                runnext::spawn(async { who() }).await.unwrap(),
                is(None, &[])
            );
            let empty = Builder::new().spawn(async { who() }).unwrap();
            assert_eq!(empty.await.unwrap(), is(None, &[]));
            let nameless = Builder::new()
                .name("")
                .label("", "")
                .spawn(async { who() })
                .unwrap();
            assert_eq!(nameless.await.unwrap(), is(Some(""), &[("", "")]));
        });
    });
}

#[test]
fn the_last_label_with_a_key_counts() {
    let rt = current_thread();
    let builder = Builder::new()
        .label("a", "1")
        .label("b", "2")
        .label("a", "3");
    let task = builder.spawn_on(async { who() }, rt.handle()).unwrap();
    assert_eq!(
        rt.block_on(task).unwrap(),
        is(None, &[("b", "2"), ("a", "3")])
    );
}

#[test]
fn labels_pass_to_those_who_are_spawned_and_names_do_not() {
    on_each_flavor(|rt| {
        let family = async {
            let plain = runnext::spawn(async {
                let grandchild = runnext::spawn(async { who() }).await.unwrap();
                (who(), grandchild)
            });
            let own = Builder::new()
                .name("child")
                .label("depth", "2")
                .spawn(async {
                    let grandchild = runnext::spawn(async { who() }).await.unwrap();
                    (who(), grandchild)
                });
            let closure = spawn_blocking(|| {
                let handle = Handle::current();
                let spawned = handle.spawn(async { who() });
                (who(), handle.block_on(spawned).unwrap())
            });
            let (plain, own, closure) = (plain.await, own.unwrap().await, closure.await);
            (who(), plain.unwrap(), own.unwrap(), closure.unwrap())
        };
        let parent = Builder::new()
            .name("parent")
            .label("request", "17")
            .label("depth", "1");
        let parent = parent.spawn_on(family, rt.handle()).unwrap();
        let (parent, plain, own, closure) = rt.block_on(parent).unwrap();
        let inherited = [("request", "17"), ("depth", "1")];
        assert_eq!(parent, is(Some("parent"), &inherited));
        assert_eq!(plain, (is(None, &inherited), is(None, &inherited)));
        let replaced = [("request", "17"), ("depth", "2")];
        assert_eq!(own, (is(Some("child"), &replaced), is(None, &replaced)));
        assert_eq!(closure, (is(None, &inherited), is(None, &inherited)));
    });
}

#[test]
fn labels_pass_to_other_runtimes_and_not_to_other_threads() {
    let (rt, other) = (multi_thread(1), multi_thread(1));
    let handle = other.handle().clone();
    let parent = Builder::new().label("request", "17").spawn_on(
        async move {
            let there = handle.spawn(async { who() }).await.unwrap();
            let spawn = move || handle.spawn(async { who() });
            let foreign = thread::spawn(spawn).join().unwrap().await.unwrap();
            (there, foreign)
        },
        rt.handle(),
    );
    let (there, foreign) = rt.block_on(parent.unwrap()).unwrap();
    assert_eq!(there, is(None, &[("request", "17")]));
    assert_eq!(foreign, is(None, &[]));
}

#[test]
fn names_and_labels_are_those_of_the_task_that_runs() {
    // Two tasks take turns on one thread; a root future within one of them is no task.
    let rt = multi_thread(1);
    let task = |name: &'static str| {
        let body = async move {
            for _ in 0..100 {
                assert_eq!(who(), is(Some(name), &[("own", name)]));
                yield_now().await;
            }
            block_in_place(|| {
                assert_eq!(who(), is(Some(name), &[("own", name)]));
                Handle::current().block_on(async { assert_eq!(who(), is(None, &[])) });
            });
            who()
        };
        Builder::new()
            .name(name)
            .label("own", name)
            .spawn_on(body, rt.handle())
            .unwrap()
    };
    let (first, second) = (task("first"), task("second"));
    assert_eq!(rt.block_on(first).unwrap().0.unwrap(), "first");
    assert_eq!(rt.block_on(second).unwrap().0.unwrap(), "second");
}

#[test]
fn an_id_is_the_same_wherever_it_is_asked() {
    on_each_flavor(|rt| {
        let task = rt.spawn(async {
            let id = task::id();
            for _ in 0..10 {
                yield_now().await;
                assert_eq!(task::id(), id);
                assert_eq!(task::try_id(), Some(id));
            }
            id
        });
        let (id, abort) = (task.id(), task.abort_handle());
        assert_eq!(abort.id(), id);
        assert_eq!(rt.block_on(task).unwrap(), id);
        assert_eq!(abort.id(), id);
        assert_eq!(
            id.to_string().parse::<u64>().unwrap().to_string(),
            id.to_string()
        );
        assert_eq!(task::try_id(), None);
    });
}

#[test]
fn ids_are_never_given_twice() {
    let spawn = |count: usize| {
        let rt = multi_thread(1);
        let inside = rt.block_on(async move {
            let mut ids: Vec<Id> = (0..count).map(|_| runnext::spawn(async {}).id()).collect();
            ids.extend((0..count / 10).map(|_| spawn_blocking(|| ()).id()));
            let set = LocalSet::new();
            ids.extend((0..count).map(|_| set.spawn_local(async {}).id()));
            ids
        });
        let mut ids = inside;
        ids.extend((0..count).map(|_| rt.spawn(async {}).id()));
        run_until(&rt, || rt.metrics().num_alive_tasks() <= 1);
        ids
    };
    let ids: Vec<Id> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| spawn(2_000))).collect();
        threads
            .into_iter()
            .flat_map(|t| t.join().unwrap())
            .collect()
    });
    let mut ids: Vec<Id> = ids.into_iter().chain(spawn(100)).collect();
    let count = ids.len();
    assert_eq!(count, 4 * 6_200 + 310);
    assert_eq!(ids.iter().copied().collect::<HashSet<_>>().len(), count);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
}
