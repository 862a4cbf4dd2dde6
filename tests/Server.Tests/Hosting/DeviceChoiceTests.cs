using Understory.Models.Kernels;
using Understory.PtxEmulator;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Hosting;

/// <summary>Which kernels run a model where nobody says so.</summary>
public class DeviceChoiceTests
{
    /// <summary>A tiny Granite, whose multipliers no device knows.</summary>
    private const string Family = "families/granite";

    [SharedDataFact(Family)]
    public void A_model_that_asks_for_what_the_device_lacks_runs_on_the_processor_and_one_line_says_why()
    {
        (ModelLoading loading, LoadedModel model) = Load("auto");
        using (model)
        {
            Assert.NotEqual("cuda", model.Kernels.Name);
            string line = Assert.Single(loading.Report, line => line.Contains("CUDA", StringComparison.Ordinal));
            Assert.Contains($"CUDA is not used: its kernels lack {KernelFeatures.Scaling}", line, StringComparison.Ordinal);
        }
    }

    [SharedDataFact(Family)]
    public void Where_the_device_is_asked_for_it_is_refused()
    {
        StartupException error = Assert.Throws<StartupException>(() => Load("cuda"));
        Assert.Contains(KernelFeatures.Scaling.ToString(), error.Message, StringComparison.Ordinal);
        Assert.Contains("--device cpu", error.Message, StringComparison.Ordinal);
    }

    private static (ModelLoading Loading, LoadedModel Model) Load(string device)
    {
        var options = new ServerOptions { Model = SharedData.PathOf(Family), Device = device };
        var loading = new ModelLoading(options) { CreateCuda = Emulated };
        return (loading, loading.Load(_ => { }));
    }

    private static IKernels? Emulated(int device, out string description)
    {
        description = $"emulated device {device}";
        return EmulatedCuda.Create();
    }
}
