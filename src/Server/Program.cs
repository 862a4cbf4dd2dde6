using Understory.Server.Verbs;

return await CommandLine.RunAsync(args);
