// Servers share the machine's cores: one test at a time keeps the ones that wait for each other honest.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
