namespace Understory.Training.Files;

/// <summary>Files that are whole or not there, whenever the process or the machine stops.</summary>
internal static class AtomicFile
{
    /// <summary>Writes beside it, to the disk, and puts it in the old one's place.</summary>
    public static void Write(string path, Action<Stream> body)
    {
        string partial = path + ".partial";
        using (FileStream stream = File.Create(partial))
        {
            body(stream);
            stream.Flush(flushToDisk: true);
        }

        File.Move(partial, path, overwrite: true);
    }

    public static void WriteText(string path, string text) => Write(path, stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(text)));
}
