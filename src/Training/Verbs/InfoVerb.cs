using System.CommandLine;
using TorchSharp;
using Understory.Training.Torch;

namespace Understory.Training.Verbs;

/// <summary><c>info</c>: whether libtorch loads here, and where it computes.</summary>
internal static class InfoVerb
{
    public static Command Create()
    {
        var verb = new Command("info", "Say whether libtorch can be used here, and on which device it computes.");
        verb.SetAction(_ =>
        {
            torch.Device device = TorchRuntime.Device();
            string name = device.type.ToString().ToLowerInvariant();
            Console.WriteLine($"libtorch {torch.__version__} on {name}, {torch.get_num_threads()} threads");
        });
        return verb;
    }
}
