//! Prints the OpenRPC document of the interface.

fn main() {
    println!("{:#}", quorate_rpc::openrpc::document());
}
