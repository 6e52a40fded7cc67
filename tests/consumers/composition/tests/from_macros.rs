//! Tests that come out of `macro_rules!`, whose pieces arrive in invisible delimiters.

use cratedb_test::{blocking, cratedb_cluster, Cluster, Result};

macro_rules! by_pieces {
    ($(#[$meta:meta])* $visibility:vis $name:ident, $ty:ty, $output:ty, $body:block) => {
        $(#[$meta])*
        #[cratedb_cluster]
        $visibility async fn $name(_made: $ty) -> $output $body
    };
}

by_pieces!(owned, Cluster, Result<()>, {
    composition::sees_only_its_own_rows(&Cluster::current().unwrap()).await
});
by_pieces!(#[allow(clippy::unit_cmp)] by_reference, &Cluster, (), { assert_eq!((), ()) });
by_pieces!(
    /// Documented, hence public.
    pub by_mutable_reference, &mut Cluster, Result<()>, { Ok(()) });
by_pieces!(#[should_panic(expected = "no")] #[tokio::test] panics, Cluster, (), { panic!("no") });

macro_rules! by_parameter {
    ($name:ident, $parameter:ident, $pattern:pat, $path:path, $keep:literal) => {
        #[cratedb_cluster(crate = $path, keep_schema = $keep)]
        fn $name($parameter: &blocking::Cluster, $pattern: Cluster) -> Result<()> {
            composition::sees_only_its_own_rows_blocking($parameter)
        }
    };
}

by_parameter!(parameters_and_arguments, handle, _, ::cratedb_test, "never");

macro_rules! whole {
    ($item:item) => {
        #[cratedb_cluster]
        $item
    };
}

whole! {
    async fn a_whole_item(cluster: Cluster) -> Result<()> {
        composition::sees_only_its_own_rows(&cluster).await
    }
}

macro_rules! items {
    ($($item:item)*) => { $($item)* };
}

items! {
    #[cratedb_cluster(exclusive)]
    async fn attribute_inside_the_item(cluster: Cluster) -> Result<()> {
        composition::sees_only_its_own_rows(&cluster).await
    }
}
