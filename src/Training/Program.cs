using Understory.Training.Verbs;

return await TrainingCommandLine.RunAsync(args);
