trait Run {
    #[runnext::main]
    async fn run();
}

fn main() {}
