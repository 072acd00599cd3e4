#[runnext::main(stackful)]
fn main() {
    let mut kept = None;
    runnext::stackful::scope(|s| kept = Some(s));
    kept.unwrap().go(|| ());
}
