// libtorch takes all cores for every operation, and its number of threads is the process's.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
