using System.Globalization;
using System.Text.Json.Nodes;
using Understory.Models.Kernels.Cuda;
using Understory.Models.Kernels.Cuda.Driver;
using Understory.PtxEmulator;

namespace Understory.Gpu;

/// <summary>There is no device that these kernels run on.</summary>
internal sealed class NoDeviceException(string message) : Exception(message);

/// <summary>A check cannot be made here.</summary>
internal sealed class SkippedException(string message) : Exception(message);

/// <summary>What a check is given.</summary>
/// <param name="File">Where what it finds is written; null: nowhere.</param>
/// <param name="Models">Folder of the stand-in models.</param>
/// <param name="Emulated">The device is the PTX emulator.</param>
/// <param name="Mistake">"FROM=TO": the emulated device takes one piece of PTX for another.</param>
internal sealed record CheckSettings(string? File, string Models, bool Emulated, string? Mistake = null);

/// <summary>
/// One run of one check in a process of its own: opens the device and keeps what is found. Findings are written as they come, so that a
/// fault or a time limit leaves those before it. <c>UNDERSTORY_CUDA</c> takes the words of the product, and "no-cubins" and "synchronous".
/// </summary>
internal sealed class CheckRun(CheckSettings settings) : IDisposable
{
    private const int MostDifferences = 12;

    private static readonly string[] _words =
        (Environment.GetEnvironmentVariable(CudaDevices.Variable) ?? "").Split(',', StringSplitOptions.TrimEntries);

    private readonly List<CudaKernels> _open = [];

    public string Models => settings.Models;

    public bool Emulated => settings.Emulated;

    public JsonObject Found { get; } = [];

    /// <summary>What is not as it must be.</summary>
    public List<string> Differences { get; } = [];

    /// <summary>Of the device that was opened last.</summary>
    public WatchedDriver? Driver { get; private set; }

    /// <summary>The kernels on device 0, or on an emulated one.</summary>
    /// <exception cref="NoDeviceException">There is none.</exception>
    public CudaKernels Open(bool overlap = true, bool record = true, bool cubins = true)
    {
        try
        {
            CudaDriver driver = settings.Emulated ? Emulator() : new NativeDriver(0, cubins && !_words.Contains("no-cubins"));
            Driver = new WatchedDriver(driver, _words.Contains("synchronous"));
        }
        catch (DllNotFoundException)
        {
            throw new NoDeviceException("no usable GPU: there is no NVIDIA driver (libcuda.so.1 was not found)");
        }
        catch (Exception e) when (e is EntryPointNotFoundException or CudaException)
        {
            throw new NoDeviceException($"no usable GPU: {e.Message}");
        }

        var kernels = new CudaKernels(Driver, overlap && !_words.Contains("no-overlap"), record && !_words.Contains("no-graphs"));
        _open.Add(kernels);
        return kernels;
    }

    /// <summary>A size: the device's, or what the emulator can do in the time.</summary>
    public T Size<T>(T device, T emulated) => settings.Emulated ? emulated : device;

    public void Report(string name, JsonNode value)
    {
        Found[name] = value;
        Save("stopped");
    }

    public void Expect(bool holds, string otherwise)
    {
        if (!holds && Differences.Count < MostDifferences)
        {
            Differences.Add(otherwise);
            Save("stopped");
        }
    }

    /// <summary>Writes what was found so far. In the file stands what becomes of it if the process ends here.</summary>
    public void Save(string status, string? error = null)
    {
        if (settings.File is null)
        {
            return;
        }

        var result = new JsonObject { ["status"] = status, ["error"] = error ?? Differences.FirstOrDefault() };
        if (Differences.Count > 1)
        {
            result["differences"] = new JsonArray([.. Differences.Select(difference => JsonValue.Create(difference))]);
        }

        if (status is not "held" && Driver is not null)
        {
            result["last_launches"] = new JsonArray([.. Driver.Last.Select(launch => JsonValue.Create(launch))]);
        }

        result["found"] = Writable(Found);
        string part = settings.File + ".part";
        File.WriteAllText(part, result.ToJsonString());
        File.Move(part, settings.File, overwrite: true);
    }

    public void Dispose()
    {
        foreach (CudaKernels kernels in _open)
        {
            try
            {
                kernels.Dispose();
            }
            catch (CudaException)
            {
                // Behind a fault the driver refuses even to free.
            }
        }
    }

    /// <summary>A copy in which what JSON has no number for is text.</summary>
    private static JsonNode? Writable(JsonNode? node) => node switch
    {
        JsonObject found => new JsonObject(found.Select(pair => KeyValuePair.Create(pair.Key, Writable(pair.Value)))),
        JsonArray list => new JsonArray([.. list.Select(Writable)]),
        JsonValue value when value.TryGetValue(out double number) && !double.IsFinite(number) =>
            JsonValue.Create(number.ToString(CultureInfo.InvariantCulture)),
        _ => node?.DeepClone(),
    };

    private EmulatedDriver Emulator()
    {
        const int Hopper = 9;
        string[] mistake = settings.Mistake?.Split('=', 2) ?? [];
        return mistake.Length == 2
            ? new EmulatedDriver(Hopper) { Mistake = text => text.Replace(mistake[0], mistake[1], StringComparison.Ordinal) }
            : new EmulatedDriver(Hopper);
    }
}
