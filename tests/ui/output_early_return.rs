#[runnext::main]
async fn main() -> Result<(), std::fmt::Error> {
    if std::env::args().len() > 1 {
        return "too many arguments";
    }
    Ok(())
}
