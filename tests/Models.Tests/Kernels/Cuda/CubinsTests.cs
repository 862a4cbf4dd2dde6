using Understory.Models.Kernels.Cuda;
using Understory.Models.Kernels.Cuda.Driver;

namespace Understory.Models.Tests.Kernels.Cuda;

public sealed class CubinsTests : IDisposable
{
    private static readonly CudaDeviceInfo _device = new("A GPU", 9, 0, 4, 1 << 30, 1 << 16, 1 << 20, 12000);

    private readonly string _folder = Directory.CreateTempSubdirectory("cubin").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void What_was_assembled_is_taken_only_for_the_very_ptx_and_architecture()
    {
        // SHA-256 of "abc", as sha256sum prints it.
        File.WriteAllBytes(Path.Combine(_folder, "ba7816bf8f01cfea414140de5dae2223.sm_90.cubin"), [1, 2, 3]);
        Assert.Equal([1, 2, 3], Cubins.Find(_folder, "abc"u8, _device));
        Assert.Null(Cubins.Find(_folder, "abd"u8, _device));
        Assert.Null(Cubins.Find(_folder, "abc"u8, _device with { Major = 8 }));
        Assert.Null(Cubins.Find(Path.Combine(_folder, "none"), "abc"u8, _device));
    }

    [Fact]
    public void The_embedded_ptx_is_the_file_s_bytes_so_that_a_file_s_digest_names_it()
    {
        foreach (string file in Directory.GetFiles(Repository.PathOf("src", "Models", "Kernels", "Cuda", "Ptx"), "*.sm_90.ptx"))
        {
            Assert.Equal(File.ReadAllBytes(file), KernelModules.Ptx(Path.GetFileName(file).Split('.')[0], 90));
        }
    }
}
