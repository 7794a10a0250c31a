using System.Globalization;
using System.Runtime.InteropServices;

namespace Samehost.AspNetCore;

/// <summary>Finds groups of users.</summary>
public static class UnixGroup
{
    /// <summary>The offset of the number in <c>struct group</c>, after the pointers to name and password.</summary>
    private static readonly int NumberOffset = 2 * nint.Size;

    /// <summary>Returns the number (gid) of a group.</summary>
    /// <param name="group">The name or the number of the group.</param>
    /// <exception cref="FormatException">No group has this name.</exception>
    public static uint Parse(string group)
    {
        // For chown(2), the highest number means "do not change".
        if (uint.TryParse(group, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number < uint.MaxValue)
        {
            return number;
        }

        var found = NativeMethods.FindGroup(group);
        return found == 0
            ? throw new FormatException($"invalid group '{group}': no group has this name; create it or use its number")
            : (uint)Marshal.ReadInt32(found, NumberOffset);
    }
}
