using Understory.Server.Hosting;

namespace Understory.Server.Tests.Hosting;

public sealed class InvocationTests
{
    [Theory]
    [InlineData("/code/src/bin/understory", "/code", "/usr/bin", false, "src/bin/understory")]
    [InlineData("/code/understory", "/code", "", false, "./understory")]
    [InlineData("/opt/my programs/understory", "/code", null, false, "\"/opt/my programs/understory\"")]
    [InlineData("/usr/share/dotnet/dotnet", "/code", "", false, "understory")]
    [InlineData(null, "/code", "", false, "understory")]
    [InlineData("/app/understory", "/models", "", true, "docker compose run --rm server")]
    public void A_command_that_is_told_can_be_typed_where_the_program_was_started(
        string? process, string folder, string? path, bool container, string expected)
    {
        if (!OperatingSystem.IsWindows())
        {
            Assert.Equal(expected, Invocation.Find(process, folder, path, container));
        }
    }

    [Fact]
    public void On_the_path_it_is_called_by_its_name()
    {
        string folder = Directory.CreateTempSubdirectory("understory-path").FullName;
        File.WriteAllText(Path.Combine(folder, "understory"), "");
        string path = $"/nowhere{Path.PathSeparator}{folder}";
        Assert.Equal("understory", Invocation.Find("/elsewhere/understory", "/", path, container: false));
        Directory.Delete(folder, recursive: true);
    }
}
