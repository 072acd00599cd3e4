use super::*;
use quote::quote;

/// The arguments, and the messages of the errors.
fn read(attr: Attr, tokens: TokenStream) -> (Args, Vec<String>) {
    let mut errors = Errors::default();
    let args = parse(attr, tokens, &mut errors);
    let messages = errors.0.into_iter().flatten().map(|e| e.to_string());
    (args, messages.collect())
}

fn accepted(attr: Attr, tokens: TokenStream) -> Args {
    let (args, errors) = read(attr, tokens);
    assert_eq!(errors, Vec::<String>::new());
    args
}

fn refused(attr: Attr, tokens: TokenStream) -> Vec<String> {
    let (_, errors) = read(attr, tokens);
    assert!(!errors.is_empty());
    errors
}

fn text(tokens: impl ToTokens) -> String {
    tokens.to_token_stream().to_string()
}

#[test]
fn nothing_given_is_the_default_of_each() {
    let main = accepted(Attr::Main, quote!());
    assert_eq!(main.flavor, Flavor::MultiThread);
    assert!(main.worker_threads.is_none() && main.krate.is_none());
    assert_eq!(accepted(Attr::Test, quote!()).flavor, Flavor::CurrentThread);
}

#[test]
fn all_given_are_all_kept_whatever_the_order_and_the_last_comma() {
    for tokens in [
        quote!(flavor = "multi_thread", worker_threads = 3, crate = "a::b"),
        quote!(crate = a::b, worker_threads = 3, flavor = "multi_thread",),
    ] {
        let args = accepted(Attr::Test, tokens);
        assert_eq!(args.flavor, Flavor::MultiThread);
        assert_eq!(text(args.worker_threads), "3");
        assert_eq!(text(args.krate), "a :: b");
    }
}

#[test]
fn worker_threads_may_be_any_expression() {
    let args = accepted(
        Attr::Main,
        quote!(worker_threads = WORKERS.min(f(1, 2)) / 2),
    );
    assert_eq!(text(args.worker_threads), "WORKERS . min (f (1 , 2)) / 2");
}

#[test]
fn crate_may_be_absolute_or_relative_to_a_keyword() {
    for path in [quote!("::runnext"), quote!(::runnext)] {
        assert_eq!(
            text(accepted(Attr::Main, quote!(crate = #path)).krate),
            ":: runnext"
        );
    }
    for path in [quote!("crate::rt"), quote!(crate::rt)] {
        assert_eq!(
            text(accepted(Attr::Main, quote!(crate = #path)).krate),
            "crate :: rt"
        );
    }
}

#[test]
fn each_mistake_is_reported_and_the_rest_is_kept() {
    let (args, errors) = read(
        Attr::Main,
        quote!(
            flavour = "x",
            worker_threads = 0,
            flavor,
            crate = "a",
            worker_threads = 1
        ),
    );
    assert_eq!(errors.len(), 4, "{errors:#?}");
    assert_eq!(text(args.krate), "a");
}

#[test]
fn a_misspelled_flavor_is_not_also_a_complaint_about_workers() {
    let errors = refused(Attr::Test, quote!(flavor = "threaded", worker_threads = 2));
    assert_eq!(errors.len(), 1, "{errors:#?}");
}

#[test]
fn an_argument_without_its_value_is_one_mistake() {
    for tokens in [
        quote!(flavor),
        quote!(flavor = ),
        quote!(flavor("multi_thread")),
        quote!(flavor: "multi_thread"),
        quote!(flavor "multi_thread"),
        quote!(flavor, worker_threads = 2),
        quote!(flavor =, worker_threads = 2),
    ] {
        let errors = refused(Attr::Test, tokens);
        assert_eq!(errors.len(), 1, "{errors:#?}");
    }
}

#[test]
fn workers_are_dropped_where_there_can_be_only_one() {
    for tokens in [
        quote!(worker_threads = 2),
        quote!(worker_threads = 2, flavor = "current_thread"),
    ] {
        let (args, errors) = read(Attr::Test, tokens);
        assert_eq!(errors.len(), 1);
        assert!(args.worker_threads.is_none());
    }
}

#[test]
fn what_is_no_number_of_workers_is_refused() {
    for value in [
        quote!("4"),
        quote!(true),
        quote!(4.0),
        quote!('4'),
        quote!(-1),
        quote!(0),
        quote!(0x0),
        quote!(99999999999999999999999),
    ] {
        refused(Attr::Main, quote!(worker_threads = #value));
    }
}

#[test]
fn what_is_no_size_of_a_stack_is_refused() {
    for value in [quote!("64K"), quote!(-1), quote!(0), quote!(1.5)] {
        let (args, errors) = read(Attr::Main, quote!(stackful, stack_size = #value));
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert!(args.stack_size.is_none() && args.stackful.is_some());
    }
}

#[test]
fn the_size_of_a_stack_may_be_any_expression_beside_the_word_stackful() {
    for tokens in [
        quote!(stackful, stack_size = SIZE << 10),
        quote!(stack_size = SIZE << 10, stackful),
    ] {
        let args = accepted(Attr::Test, tokens);
        assert_eq!(text(args.stack_size), "SIZE << 10");
    }
    let (args, errors) = read(Attr::Main, quote!(stack_size = SIZE));
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(args.stack_size.is_none());
}

#[test]
fn what_is_no_path_is_refused() {
    for value in [
        quote!("a b"),
        quote!(""),
        quote!(1),
        quote!("a::<u8>"),
        quote!(Vec::<u8>::x),
        quote!(<T>::x),
    ] {
        refused(Attr::Main, quote!(crate = #value));
    }
}

#[test]
fn broken_syntax_is_an_error_and_not_a_panic() {
    for tokens in [
        quote!(=),
        quote!(, flavor = "multi_thread"),
        quote!("multi_thread"),
        quote!(flavor = "multi_thread" worker_threads = 1),
        quote!(worker_threads = 1 +),
    ] {
        refused(Attr::Main, tokens);
    }
}

#[test]
fn a_clock_begins_stopped_where_there_is_one_thread() {
    let paused = |args: Args| args.start_paused.map(|paused| paused.value);
    let test = accepted(Attr::Test, quote!(start_paused = true));
    assert_eq!(paused(test), Some(true));
    let running = accepted(Attr::Main, quote!(start_paused = false));
    assert_eq!(paused(running), Some(false));
    let main = quote!(flavor = "current_thread", start_paused = true);
    assert_eq!(paused(accepted(Attr::Main, main)), Some(true));

    let by_default = refused(Attr::Main, quote!(start_paused = true));
    assert!(by_default[0].contains("is the default of `#[runnext::main]`"));
    let given = quote!(flavor = "multi_thread", start_paused = true);
    assert!(refused(Attr::Test, given)[0].contains("needs the `current_thread` flavor"));
    let one = refused(Attr::Test, quote!(start_paused = 1));
    assert!(one[0].contains("takes `true` or `false`"));
}
