use std::fmt::Error;

#[runnext::main(stackful)]
fn main() -> Result<(), Error> {
    "1".parse::<u8>()?;
    Ok(())
}
