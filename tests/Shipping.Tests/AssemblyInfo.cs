// What ships is started as processes of its own, on Linux: elsewhere these tests are skipped. One at a time, for the servers share the
// cores.
[assembly: System.Runtime.Versioning.SupportedOSPlatform("linux")]
[assembly: CollectionBehavior(DisableTestParallelization = true)]
