#[runnext::test]
#[test]
async fn addition() {
    assert_eq!(1 + 1, 2);
}

#[runnext::test]
#[runnext::test]
async fn subtraction() {
    assert_eq!(1 - 1, 0);
}

#[runnext::test]
#[::core::prelude::v1::test]
async fn multiplication() {
    assert_eq!(1 * 1, 1);
}

fn main() {}
