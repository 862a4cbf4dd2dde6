using System.Globalization;
using Understory.Models.Architecture;

namespace Understory.Server.Hosting;

/// <summary>
/// Tells how far a load is, once it has taken two seconds and every two seconds from then on: bytes, and seconds left at the pace so far.
/// </summary>
/// <param name="what">"the target model"</param>
/// <param name="tell">Is given each line.</param>
internal sealed class LoadingProgress(string what, TimeProvider clock, Action<string> tell)
{
    private static readonly TimeSpan _quiet = TimeSpan.FromSeconds(2);

    private readonly long _start = clock.GetTimestamp();
    private TimeSpan _last;

    public void Report(LoadProgress progress)
    {
        TimeSpan elapsed = clock.GetElapsedTime(_start);
        if (elapsed - _last < _quiet || progress.Bytes == 0 || progress.Bytes == progress.Total)
        {
            return;
        }

        _last = elapsed;
        double left = elapsed.TotalSeconds * (progress.Total - progress.Bytes) / progress.Bytes;
        tell(string.Create(CultureInfo.InvariantCulture,
            $"reading {what}: {progress.Bytes / 1e9:F1} of {progress.Total / 1e9:F1} GB, {left:F0} s left"));
    }
}
