using System.Reflection;
using System.Security.Cryptography;

namespace Understory.Server.Hosting;

/// <summary>A file of the page, as it is sent.</summary>
/// <param name="Tag">Its <c>ETag</c>: changes with the content.</param>
public sealed record PageFile(byte[] Content, string ContentType, string Tag);

/// <summary>
/// The page's files, which are part of the program (<c>wwwroot</c> is embedded): a request's path is a key into this list and never becomes
/// a path of the file system. They hold no secrets.
/// </summary>
public static class PageFiles
{
    private const string Prefix = "wwwroot/";

    private static readonly Dictionary<string, PageFile> Files = Load();

    /// <summary>The file at a request's path; null: there is none.</summary>
    public static PageFile? At(string? path) => Files.GetValueOrDefault(path ?? "");

    private static Dictionary<string, PageFile> Load()
    {
        Assembly assembly = typeof(PageFiles).Assembly;
        return assembly.GetManifestResourceNames()
            .Where(name => name.StartsWith(Prefix, StringComparison.Ordinal))
            .ToDictionary(name => name == Prefix + "index.html" ? "/" : "/" + name[Prefix.Length..], name =>
                Read(assembly, name), StringComparer.Ordinal);
    }

    private static PageFile Read(Assembly assembly, string name)
    {
        using Stream stream = assembly.GetManifestResourceStream(name)!;
        byte[] content = new byte[stream.Length];
        stream.ReadExactly(content);
        return new PageFile(content, TypeOf(name), $"\"{Convert.ToHexStringLower(SHA256.HashData(content))[..16]}\"");
    }

    private static string TypeOf(string name) => Path.GetExtension(name) switch
    {
        ".html" => "text/html; charset=utf-8",
        ".css" => "text/css; charset=utf-8",
        ".js" => "text/javascript; charset=utf-8",
        ".svg" => "image/svg+xml; charset=utf-8",
        var other => throw new InvalidOperationException($"{name}: files of the page that end in '{other}' have no content type here."),
    };
}
