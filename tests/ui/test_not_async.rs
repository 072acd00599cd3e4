#[runnext::test]
fn addition() {
    assert_eq!(1 + 1, 2);
}

fn main() {}
