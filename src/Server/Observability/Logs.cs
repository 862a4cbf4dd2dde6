using Serilog;
using Serilog.Events;
using Serilog.Settings.Configuration;

namespace Understory.Server.Observability;

/// <summary>The log: lines on stderr, written by a thread of their own. Section <c>Serilog</c> of appsettings.json changes levels.</summary>
public static class Logs
{
    public static Serilog.Core.Logger Create(string settingsFile)
    {
        IConfigurationRoot settings = new ConfigurationBuilder().AddJsonFile(settingsFile, optional: true).Build();
        return new LoggerConfiguration()
            .MinimumLevel.Information()
            .MinimumLevel.Override("Microsoft", LogEventLevel.Warning)
            // A start that fails is told in one line by whoever asked for it.
            .MinimumLevel.Override("Microsoft.Extensions.Hosting", LogEventLevel.Fatal)
            .ReadFrom.Configuration(settings, new ConfigurationReaderOptions(typeof(Log).Assembly))
            .WriteTo.Async(sink => sink.Console(
                outputTemplate: "{Timestamp:yyyy-MM-dd HH:mm:ss.fff} {Level:u3} {Message:lj}{NewLine}{Exception}",
                standardErrorFromLevel: LogEventLevel.Verbose))
            .CreateLogger();
    }
}
