using System.Net;
using System.Net.Sockets;

namespace Understory.Server.Tests;

/// <summary>Programs and folders that some tests need and a machine may lack.</summary>
internal static class Tools
{
    /// <summary>The folder that holds the solution; the test's own where there is none.</summary>
    public static string Root { get; } = FindRoot(AppContext.BaseDirectory);

    public static bool Has(string program) => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Any(folder => File.Exists(Path.Combine(folder, program)) || File.Exists(Path.Combine(folder, program + ".exe")));

    /// <summary>
    /// A port that nobody listens on. It is none of those that systems give to whoever asks for any (from 32768 up, on some from 49152),
    /// which another test may be given before this one's program takes it.
    /// </summary>
    public static int FreePort()
    {
        while (true)
        {
            using var probe = new TcpListener(IPAddress.Loopback, Random.Shared.Next(10_240, 32_768));
            try
            {
                probe.Start();
                return ((IPEndPoint)probe.LocalEndpoint).Port;
            }
            catch (SocketException)
            {
                // Somebody has it.
            }
        }
    }

    private static string FindRoot(string start)
    {
        for (string? folder = start; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(Path.Combine(folder, "ServerSolution.sln")))
            {
                return folder;
            }
        }

        return start;
    }
}
