/** Light and dark: as the system has it, until the button says otherwise. */
import { recall, remember } from './memory';

const THEMES = ['', 'light', 'dark'] as const;
type Theme = (typeof THEMES)[number];

/** Lets a button go round the themes, and takes up the one that was chosen last time. */
export function themeButton(button: HTMLButtonElement): void {
  let theme: Theme = THEMES.find((one) => one === recall('theme')) ?? '';
  const show = () => {
    document.documentElement.style.colorScheme = theme;
    const label = `Theme: ${theme || 'as the system'}`;
    button.title = label;
    button.setAttribute('aria-label', label);
  };
  button.addEventListener('click', () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? '';
    remember('theme', theme);
    show();
  });
  show();
}
