using System.ComponentModel;
using System.Diagnostics;
using System.Text.Json;
using Understory.Training.Texts;

namespace Understory.Training.Curriculum;

/// <summary>Asks <c>python3</c> about Python texts, where it is there.</summary>
internal static class PythonCheck
{
    private const string Parse = """
        import ast, json, sys
        faults = []
        for text in json.load(sys.stdin):
            try:
                ast.parse(text)
                faults.append(None)
            except (SyntaxError, ValueError) as error:
                faults.append(str(error))
        json.dump(faults, sys.stdout)
        """;

    private static readonly Lazy<bool> _isThere = new(() => Run("import sys", "") is not null);

    public static bool IsThere => _isThere.Value;

    /// <summary>Why each text is no Python, null where it is: by Python's own parser, else by <see cref="PythonReader.Fault"/>.</summary>
    public static string?[] Faults(IReadOnlyList<string> texts) =>
        IsThere && Run(Parse, JsonSerializer.Serialize(texts)) is string answer
            ? JsonSerializer.Deserialize<string?[]>(answer)!
            : [.. texts.Select(PythonReader.Fault)];

    /// <summary>What a program writes; null if Python is not there or the program failed.</summary>
    public static string? Run(string program, string input)
    {
        try
        {
            using Process python = Process.Start(new ProcessStartInfo("python3", ["-c", program])
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
            python.ErrorDataReceived += (_, _) => { };
            python.BeginErrorReadLine();
            Task<string> output = python.StandardOutput.ReadToEndAsync();
            python.StandardInput.Write(input);
            python.StandardInput.Close();
            python.WaitForExit();
            return python.ExitCode == 0 ? output.Result : null;
        }
        catch (Win32Exception)
        {
            return null;
        }
    }
}
