//! What functions do that carry `#[runnext::main]` or `#[runnext::test]`.

use std::cell::Cell;
use std::error::Error;
use std::fmt::Debug;
use std::rc::Rc;
use std::thread::{self, ThreadId};

use runnext::runtime::{Handle, RuntimeFlavor};

fn flavor() -> RuntimeFlavor {
    Handle::current().runtime_flavor()
}

fn workers() -> usize {
    Handle::current().metrics().num_workers()
}

mod flavors {
    use super::*;

    #[test]
    fn main_is_multi_thread_unless_told_otherwise() {
        #[runnext::main]
        async fn run() {
            assert_eq!(flavor(), RuntimeFlavor::MultiThread);
        }
        run();
    }

    #[test]
    fn main_with_the_current_thread_flavor_runs_tasks_on_the_caller() {
        #[runnext::main(flavor = "current_thread")]
        async fn run() -> ThreadId {
            assert_eq!(flavor(), RuntimeFlavor::CurrentThread);
            let task = runnext::spawn(async { thread::current().id() });
            task.await.unwrap()
        }
        assert_eq!(run(), thread::current().id());
    }

    #[test]
    fn main_has_as_many_workers_as_it_asks_for() {
        #[runnext::main(worker_threads = 3)]
        async fn run() -> usize {
            workers()
        }
        assert_eq!(run(), 3);
    }

    #[test]
    fn all_arguments_work_together_in_any_order() {
        #[runnext::main(crate = ::runnext, worker_threads = 2, flavor = "multi_thread",)]
        async fn run() -> (RuntimeFlavor, usize) {
            (flavor(), workers())
        }
        assert_eq!(run(), (RuntimeFlavor::MultiThread, 2));
    }

    #[runnext::test]
    async fn a_test_is_current_thread_unless_told_otherwise() {
        assert_eq!(flavor(), RuntimeFlavor::CurrentThread);
        assert_eq!(workers(), 1);
    }

    #[runnext::test(flavor = "multi_thread", worker_threads = 3)]
    async fn a_test_can_have_workers() {
        assert_eq!(flavor(), RuntimeFlavor::MultiThread);
        assert_eq!(workers(), 3);
    }
}

mod worker_threads {
    use super::*;

    const WORKERS: usize = 2;

    #[test]
    fn can_be_an_expression() {
        #[runnext::main(worker_threads = WORKERS + 1)]
        async fn run() -> usize {
            workers()
        }
        assert_eq!(run(), 3);
    }

    #[test]
    fn can_name_a_parameter_that_the_body_consumes() {
        #[runnext::main(worker_threads = jobs.len())]
        async fn run(jobs: Vec<u8>) -> (usize, Vec<u8>) {
            (workers(), jobs)
        }
        assert_eq!(run(vec![7, 8]), (2, vec![7, 8]));
    }

    #[test]
    fn does_not_see_the_names_that_the_macro_introduces() {
        fn body() -> usize {
            2
        }
        let runtime = |n: usize| n;
        assert_eq!(runtime(1), 1);

        #[runnext::main(worker_threads = body())]
        async fn run(runtime: usize) -> usize {
            runtime + body() + workers()
        }
        assert_eq!(run(1), 5);
    }

    #[test]
    fn can_come_from_a_macro_by_example() {
        macro_rules! with_workers {
            ($name:ident, $flavor:literal, $n:literal, $body:expr) => {
                #[runnext::main(flavor = $flavor, worker_threads = $n)]
                async fn $name() -> usize {
                    $body
                }
            };
        }
        with_workers!(two, "multi_thread", 2, workers());
        with_workers!(three, "multi_thread", 3, workers());
        assert_eq!((two(), three()), (2, 3));
    }
}

mod the_crate {
    pub(crate) mod vendored {
        pub(crate) use runnext as rt;
    }

    #[test]
    fn can_be_reached_by_another_path() {
        // Where `runnext` itself would not be found.
        mod elsewhere {
            use super::vendored::rt;

            #[rt::main(crate = "super::vendored::rt")]
            pub(super) async fn quoted() -> u8 {
                1
            }

            #[rt::main(crate = rt)]
            pub(super) async fn bare() -> u8 {
                2
            }
        }
        assert_eq!((elsewhere::quoted(), elsewhere::bare()), (1, 2));
    }

    #[test]
    fn can_be_reached_through_the_crate_of_a_macro_by_example() {
        macro_rules! three {
            () => {
                #[$crate::the_crate::vendored::rt::main(crate = $crate::the_crate::vendored::rt)]
                async fn three() -> u8 {
                    3
                }
            };
        }
        three!();
        assert_eq!(three(), 3);
    }

    #[vendored::rt::test(crate = "crate::the_crate::vendored::rt")]
    async fn can_be_reached_by_another_path_in_a_test() {
        vendored::rt::spawn(async {}).await.unwrap();
    }
}

mod outputs {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Refused;

    impl std::fmt::Display for Refused {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("refused")
        }
    }

    impl Error for Refused {}

    #[test]
    fn a_question_mark_converts_to_the_declared_error() {
        #[runnext::main(flavor = "current_thread")]
        async fn run(text: &str) -> Result<u8, Box<dyn Error>> {
            Ok(text.parse::<u8>()?)
        }
        assert_eq!(run("42").unwrap(), 42);
        assert_eq!(
            run("x").unwrap_err().to_string(),
            "invalid digit found in string"
        );
    }

    #[test]
    fn return_and_the_last_expression_are_coerced_to_the_declared_type() {
        #[runnext::main(flavor = "current_thread")]
        async fn early(refuse: bool) -> Result<(), Box<dyn Error>> {
            if refuse {
                return Err(Box::new(Refused));
            }
            "1".parse::<u8>()?;
            Ok(())
        }
        assert_eq!(early(true).unwrap_err().to_string(), "refused");
        assert!(early(false).is_ok());

        #[runnext::main(flavor = "current_thread")]
        async fn last() -> Box<dyn Debug> {
            Box::new(Refused)
        }
        assert_eq!(format!("{:?}", last()), "Refused");
    }

    #[test]
    fn an_opaque_type_is_inferred() {
        #[runnext::main(flavor = "current_thread")]
        async fn bare() -> impl Iterator<Item = u8> {
            [1, 2].into_iter()
        }
        assert!(bare().eq([1, 2]));

        #[runnext::main(flavor = "current_thread")]
        async fn nested() -> Result<(impl Debug, [impl Debug; 1]), Box<dyn Error>> {
            if workers() == 0 {
                return Err(Box::new(Refused));
            }
            Ok(("1".parse::<u8>()?, ["2"]))
        }
        assert_eq!(format!("{:?}", nested().unwrap()), r#"(1, ["2"])"#);

        #[runnext::main(flavor = "current_thread")]
        async fn boxed() -> Box<dyn Iterator<Item = impl Debug>> {
            Box::new([1, 2].into_iter())
        }
        assert_eq!(format!("{:?}", boxed().last()), "Some(2)");
    }

    #[test]
    fn a_body_that_never_ends_normally_needs_no_value() {
        #[runnext::main(flavor = "current_thread")]
        async fn run() -> ! {
            panic!("the end")
        }
        let panic = std::panic::catch_unwind(|| run()).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"the end"));

        #[runnext::main(flavor = "current_thread")]
        async fn diverges() -> u8 {
            loop {
                if workers() == 1 {
                    return 3;
                }
            }
        }
        assert_eq!(diverges(), 3);
    }

    #[runnext::test]
    async fn a_test_may_return_a_result() -> Result<(), Box<dyn Error>> {
        assert_eq!("42".parse::<u8>()?, 42);
        Ok(())
    }

    #[runnext::test]
    #[should_panic(expected = "refused in time")]
    async fn a_test_that_should_panic_passes_when_it_does() {
        panic!("refused in time");
    }

    #[should_panic(expected = "above")]
    #[runnext::test]
    async fn attributes_above_the_macro_count_as_well() {
        panic!("above");
    }

    #[runnext::test]
    #[ignore = "it shows as ignored, and that is all it is for"]
    async fn an_ignored_test_is_listed_as_such() {}
}

mod signatures {
    use super::*;

    #[test]
    fn generics_and_bounds_stay() {
        #[runnext::main(flavor = "current_thread")]
        async fn show<'a, T, const N: usize>(prefix: &'a str, values: [T; N]) -> String
        where
            T: Debug + 'a,
        {
            format!("{prefix}{values:?}")
        }
        assert_eq!(show("v", [1, 2]), "v[1, 2]");
    }

    #[test]
    fn parameters_can_be_patterns_and_be_changed() {
        #[runnext::main(flavor = "current_thread")]
        async fn grow((mut list, by): (Vec<u8>, u8)) -> Vec<u8> {
            list.push(by);
            list
        }
        assert_eq!(grow((vec![1], 2)), [1, 2]);
    }

    #[test]
    fn a_mutable_borrow_of_a_parameter_can_be_returned() {
        #[runnext::main(flavor = "current_thread")]
        async fn first(list: &mut [u8]) -> &mut u8 {
            &mut list[0]
        }
        let mut list = [1, 2];
        *first(&mut list) = 5;
        assert_eq!(list, [5, 2]);
    }

    #[test]
    fn methods_see_self_and_the_type_of_self() {
        struct Counter(u8);

        impl Counter {
            #[runnext::main(flavor = "current_thread")]
            async fn new() -> Self {
                Self(0)
            }

            #[runnext::main(flavor = "current_thread")]
            async fn add(&mut self, n: u8) -> &mut Self {
                self.0 += n;
                self
            }

            #[runnext::main(flavor = "current_thread")]
            async fn into_inner(self) -> u8 {
                self.0
            }
        }

        let mut counter = Counter::new();
        counter.add(2).add(3);
        assert_eq!(counter.into_inner(), 5);
    }

    #[test]
    fn visibility_stays() {
        mod inner {
            #[runnext::main(flavor = "current_thread")]
            pub(super) async fn visible() -> u8 {
                1
            }
        }
        assert_eq!(inner::visible(), 1);
    }

    #[test]
    fn the_body_need_not_be_send() {
        #[runnext::main]
        async fn run() -> u8 {
            let count = Rc::new(Cell::new(1));
            runnext::spawn(async {}).await.unwrap();
            count.set(count.get() + 1);
            count.get()
        }
        assert_eq!(run(), 2);
    }

    #[test]
    fn all_parts_can_come_from_a_macro_by_example() {
        macro_rules! blocking {
            ($vis:vis $name:ident($param:pat => $in:ty) -> $out:ty $body:block) => {
                #[runnext::main(flavor = "current_thread")]
                $vis async fn $name($param: $in) -> $out $body
            };
        }
        blocking!(parse(text => &str) -> Result<u8, Box<dyn Error>> { Ok(text.parse()?) });
        blocking!(sum((a, b) => (u8, u8)) -> impl Debug { a + b });
        assert_eq!(parse("3").unwrap(), 3);
        assert_eq!(format!("{:?}", sum((1, 2))), "3");
    }

    #[test]
    fn inner_attributes_apply_to_the_function() {
        #[runnext::main(flavor = "current_thread")]
        async fn run() -> u8 {
            #![deny(warnings)]
            #![allow(unused_variables)]
            let unused = 1;
            2
        }
        assert_eq!(run(), 2);
    }

    #[test]
    fn parameters_are_dropped_after_the_runtime() {
        thread_local!(static IN_RUNTIME: Cell<Option<bool>> = const { Cell::new(None) });
        struct Probe;
        impl Drop for Probe {
            fn drop(&mut self) {
                IN_RUNTIME.set(Some(Handle::try_current().is_ok()));
            }
        }

        #[runnext::main(flavor = "current_thread")]
        async fn run(probe: Probe) {
            let _ = &probe;
        }
        run(Probe);
        assert_eq!(IN_RUNTIME.get(), Some(false));
    }
}
