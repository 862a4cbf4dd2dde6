using Serilog;
using Serilog.Configuration;
using Serilog.Core;
using Serilog.Events;
using Serilog.Settings.Configuration;

namespace Understory.Server.Observability;

/// <summary>
/// The log: lines on stderr, and in a file where one is wanted, written by a thread of their own. Section <c>Serilog</c> of
/// appsettings.json changes levels.
/// </summary>
public static class Logs
{
    private const string Line = "{Timestamp:yyyy-MM-dd HH:mm:ss.fff} {Level:u3} {Message:lj}{NewLine}{Exception}";
    private const long FileBytes = 64 << 20;
    private const int FilesKept = 14;

    /// <param name="file">Gets the date, and a number where one day has several, before its extension; null: stderr alone.</param>
    /// <param name="clock">Times what <see cref="LogThinning"/> counts.</param>
    /// <exception cref="IOException">The file's folder cannot be made or written; so too the other exceptions that opening a file
    /// has.</exception>
    public static Logger Create(string settingsFile, string? file, TimeProvider clock)
    {
        if (file is not null)
        {
            Probe(file);
        }

        IConfigurationRoot settings = new ConfigurationBuilder().AddJsonFile(settingsFile, optional: true).Build();
        return new LoggerConfiguration()
            .MinimumLevel.Information()
            .MinimumLevel.Override("Microsoft", LogEventLevel.Warning)
            // A start that fails is told in one line by whoever asked for it.
            .MinimumLevel.Override("Microsoft.Extensions.Hosting", LogEventLevel.Fatal)
            .ReadFrom.Configuration(settings, new ConfigurationReaderOptions(typeof(Log).Assembly))
            .WriteTo.Sink(new LogThinning(LoggerSinkConfiguration.CreateSink(to => to.Async(sinks => Write(sinks, file))), clock))
            .CreateLogger();
    }

    private static void Write(LoggerSinkConfiguration sinks, string? file)
    {
        sinks.Console(outputTemplate: Line, standardErrorFromLevel: LogEventLevel.Verbose);
        if (file is not null)
        {
            sinks.File(
                file, outputTemplate: Line, rollingInterval: RollingInterval.Day, rollOnFileSizeLimit: true,
                fileSizeLimitBytes: FileBytes, retainedFileCountLimit: FilesKept);
        }
    }

    /// <summary>The sink opens its file at the first line, and then fails in silence.</summary>
    private static void Probe(string file)
    {
        string path = Path.GetFullPath(file);
        if (Path.GetFileName(path).Length == 0 || Directory.Exists(path))
        {
            throw new IOException("It is a folder.");
        }

        string folder = Path.GetDirectoryName(path)!;
        Directory.CreateDirectory(folder);
        using var probe = new FileStream(
            Path.Combine(folder, $".{Guid.NewGuid():N}"), FileMode.CreateNew, FileAccess.Write, FileShare.None, 1,
            FileOptions.DeleteOnClose);
    }
}
