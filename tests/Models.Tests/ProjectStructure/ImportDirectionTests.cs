using System.Text.RegularExpressions;

namespace Understory.Models.Tests.ProjectStructure;

/// <summary>Imports point one way, between projects and between the folders of each.</summary>
public partial class ImportDirectionTests
{
    /// <summary>Each project, and those that it may know.</summary>
    private static readonly Dictionary<string, string[]> _projects = new()
    {
        ["Models"] = [],
        ["Decoding"] = ["Models"],
        ["Server"] = ["Models", "Decoding"],
        ["Training"] = ["Models", "Decoding", "Server"],
    };

    /// <summary>Each folder of a project, and those beside it that it may know. Files in a project's root may know all.</summary>
    private static readonly Dictionary<string, Dictionary<string, string[]>> _folders = new()
    {
        ["Models"] = new()
        {
            ["Tensors"] = [],
            ["Formats"] = ["Tensors"],
            ["Tokenizers"] = ["Tensors", "Formats"],
            ["Kernels"] = ["Tensors"],
            ["Architecture"] = ["Tensors", "Formats", "Tokenizers", "Kernels"],
        },
        ["Decoding"] = new()
        {
            ["Constraints"] = [],
            ["Sampling"] = ["Constraints"],
            ["Tree"] = ["Constraints", "Sampling"],
            ["Planning"] = ["Constraints", "Sampling", "Tree"],
            ["Drafters"] = ["Constraints", "Sampling", "Tree", "Planning"],
            ["Verification"] = ["Constraints", "Sampling", "Tree", "Planning", "Drafters"],
            ["Sequences"] = ["Constraints", "Sampling", "Tree", "Planning", "Drafters", "Verification"],
        },
        ["Server"] = new()
        {
            ["Chat"] = [],
            ["Wire"] = [],
            ["Contract"] = ["Wire"],
            ["OpenAi"] = ["Wire", "Contract", "Chat"],
            ["Anthropic"] = ["Wire", "Chat", "OpenAi"],
            ["Observability"] = [],
            ["Hub"] = [],
            ["Hosting"] = ["Wire", "Chat", "Hub"],
            ["Endpoints"] = ["Wire", "Contract", "Chat", "OpenAi", "Anthropic", "Observability", "Hosting"],
            ["Verbs"] = ["Wire", "Chat", "Observability", "Hub", "Hosting", "Endpoints"],
        },
        ["Training"] = new()
        {
            ["Torch"] = [],
            ["Network"] = [],
            ["Files"] = ["Network"],
            ["Tokens"] = ["Files"],
            ["Optimisation"] = ["Files", "Network"],
            ["Texts"] = ["Files", "Optimisation"],
            ["Corpus"] = ["Texts"],
            ["Curriculum"] = ["Texts"],
            ["Drafting"] = ["Torch", "Files", "Network", "Optimisation"],
            ["Demo"] =
                ["Torch", "Tokens", "Files", "Network", "Optimisation", "Texts", "Corpus", "Curriculum", "Drafting"],
            ["Verbs"] = ["Torch", "Files", "Network", "Optimisation", "Texts", "Corpus", "Curriculum", "Drafting", "Demo"],
        },
    };

    /// <summary>Files of a root that are plain data, which its folders may know: what a caller asks for, and what it is told.</summary>
    private static readonly string[] _shared = ["src/Decoding/GenerationRequest.cs", "src/Training/TrainingException.cs"];

    [Fact]
    public void Imports_between_projects_and_folders_point_one_way()
    {
        List<SourceFile> files = [.. Sources()];
        Assert.True(files.Count > 50, "the source files were not found");
        Assert.Empty(Violations(files));
    }

    [Fact]
    public void Every_folder_with_a_direction_is_there_and_every_folder_has_one()
    {
        foreach ((string project, Dictionary<string, string[]> folders) in _folders)
        {
            IEnumerable<string> found = Sources().Where(file => file.Project == project && file.Folder.Length > 0)
                .Select(file => file.Folder).Distinct();
            Assert.Equal(folders.Keys.Order(StringComparer.Ordinal), found.Order(StringComparer.Ordinal));
        }
    }

    [Fact]
    public void Namespaces_follow_folders()
    {
        foreach (SourceFile file in Sources().Where(file => file.Path is not ("src/Server/Program.cs" or "src/Training/Program.cs")))
        {
            string expected = "Understory." + Path.GetDirectoryName(file.Path)!.Replace('\\', '/')["src/".Length..].Replace('/', '.');
            Assert.True(Namespace().Match(file.Text).Groups[1].Value == expected, $"{file.Path} should be in {expected}");
        }
    }

    [Fact]
    public void Project_references_point_one_way()
    {
        foreach ((string project, string[] allowed) in _projects)
        {
            string text = File.ReadAllText(Repository.PathOf("src", project, project + ".csproj"));
            foreach (Match reference in ProjectReference().Matches(text))
            {
                Assert.Contains(reference.Groups[1].Value, allowed);
            }
        }
    }

    [Theory]
    [InlineData("src/Models/Formats/A.cs", "using Understory.Models.Kernels;")]
    [InlineData("src/Models/Kernels/Cpu/A.cs", "using Understory.Models.Formats;")]
    [InlineData("src/Models/Tensors/A.cs", "class A { Understory.Models.Formats.Gguf? x; }")]
    [InlineData("src/Models/Architecture/A.cs", "using Understory.Decoding.Tree;")]
    [InlineData("src/Decoding/Tree/A.cs", "using static Understory.Decoding.Drafters.NgramModel;")]
    [InlineData("src/Server/Hosting/A.cs", "using Understory.Server.Endpoints;")]
    [InlineData("src/Training/Corpus/A.cs", "using Understory.Training.Curriculum;")]
    [InlineData("src/Decoding/DecodingLoop.cs", "using X = Understory.Server.Hosting.RequestQueue;")]
    public void A_wrong_import_is_seen(string path, string text) => Assert.Single(Violations([new SourceFile(path, text)]));

    [Theory]
    [InlineData("src/Models/Formats/A.cs", "using Understory.Models.Tensors;\n// not Understory.Models.Kernels")]
    [InlineData("src/Models/Kernels/Cpu/A.cs", "using Understory.Models.Kernels;")]
    [InlineData("src/Decoding/A.cs", "using Understory.Decoding.Sequences;\nusing Understory.Models.Kernels;")]
    [InlineData("src/Server/Endpoints/A.cs", "using Understory.Decoding;\nusing Understory.Server.Hosting;")]
    public void A_right_import_is_let_through(string path, string text) => Assert.Empty(Violations([new SourceFile(path, text)]));

    [Fact]
    public void A_folder_that_mentions_a_type_of_its_project_s_root_is_seen() => Assert.Single(Violations(
    [
        new SourceFile("src/Decoding/DecodingLoop.cs", "public sealed class DecodingLoop { }"),
        new SourceFile("src/Decoding/Tree/A.cs", "class A { DecodingLoop? loop; }"),
    ]));

    private static IEnumerable<string> Violations(IReadOnlyList<SourceFile> files)
    {
        ILookup<string, string> rootTypes = files.Where(file => file.Folder.Length == 0 && !_shared.Contains(file.Path))
            .SelectMany(file => TypeDeclaration().Matches(file.Code).Select(match => (file.Project, Type: match.Groups[1].Value)))
            .ToLookup(pair => pair.Project, pair => pair.Type);
        foreach (SourceFile file in files)
        {
            foreach (Match import in Import().Matches(file.Code))
            {
                (string project, string folder) = (import.Groups[1].Value, import.Groups[2].Value);
                if (project != file.Project ? !_projects[file.Project].Contains(project) : !MayKnow(file, folder))
                {
                    yield return $"{file.Path} may not know {import.Value}";
                }
            }

            // Types of a project's root need no using inside it.
            foreach (string type in file.Folder.Length > 0 && _folders.ContainsKey(file.Project) ? rootTypes[file.Project] : [])
            {
                if (Regex.IsMatch(file.Code, $@"\b{type}\b"))
                {
                    yield return $"{file.Path} may not know {type} in the root of {file.Project}";
                }
            }
        }
    }

    private static bool MayKnow(SourceFile file, string folder) =>
        file.Folder.Length == 0 || file.Folder == folder || !_folders.TryGetValue(file.Project, out Dictionary<string, string[]>? folders)
        || !folders.ContainsKey(folder) || folders[file.Folder].Contains(folder);

    private static IEnumerable<SourceFile> Sources() =>
        from path in Directory.EnumerateFiles(Repository.PathOf("src"), "*.cs", SearchOption.AllDirectories)
        let relative = Path.GetRelativePath(Repository.Root, path).Replace('\\', '/')
        where !relative.Contains("/obj/", StringComparison.Ordinal) && !relative.Contains("/bin/", StringComparison.Ordinal)
        select new SourceFile(relative, File.ReadAllText(path));

    [GeneratedRegex(@"\bUnderstory\.(Models|Decoding|Server|Training)(?:\.(\w+))?")]
    private static partial Regex Import();

    [GeneratedRegex(@"^namespace ([\w.]+);", RegexOptions.Multiline)]
    private static partial Regex Namespace();

    [GeneratedRegex(@"\b(?:class|struct|interface|enum|record)\s+(?!class\b|struct\b)(\w+)")]
    private static partial Regex TypeDeclaration();

    [GeneratedRegex("ProjectReference Include=\"[^\"]*?(\\w+)\\.csproj\"")]
    private static partial Regex ProjectReference();

    /// <param name="Path">From the repository's root, with forward slashes.</param>
    private sealed partial record SourceFile(string Path, string Text)
    {
        /// <summary>The text without its comments and without the line that names its own namespace.</summary>
        public string Code { get; } = Comment().Replace(Text, "");

        public string Project { get; } = Path.Split('/')[1];

        /// <summary>First folder below the project; empty in its root.</summary>
        public string Folder { get; } = Path.Split('/') is [_, _, string folder, _, ..] ? folder : "";

        [GeneratedRegex(@"//.*?$|/\*.*?\*/|^namespace .*?$", RegexOptions.Multiline | RegexOptions.Singleline)]
        private static partial Regex Comment();
    }
}
