@echo off
rem Installs the agent as a Windows service with NSSM (https://nssm.cc). Run as administrator:
rem   install-service.cmd branch-12 C:\Sluice C:\Sluice\config\branch-12.json
setlocal
if "%~3"=="" (
  echo Usage: %~nx0 BRANCH SLUICE_FOLDER CONFIG_FILE
  exit /b 78
)
set SERVICE=sluice-agent-%~1
where nssm >nul 2>nul || (
  echo nssm.exe is not on the PATH.
  exit /b 1
)
for /f "delims=" %%N in ('where node') do set NODE=%%N& goto found
echo node.exe is not on the PATH.
exit /b 1
:found
"%NODE%" "%~2\dist\agent\main.js" check --config "%~3"
if errorlevel 76 exit /b %errorlevel%
nssm install %SERVICE% "%NODE%" "dist\agent\main.js" run --json --config "%~3" || exit /b 1
nssm set %SERVICE% AppDirectory "%~2"
nssm set %SERVICE% AppStdout "%~2\logs\%SERVICE%.log"
nssm set %SERVICE% AppStderr "%~2\logs\%SERVICE%.log"
nssm set %SERVICE% AppRotateFiles 1
nssm set %SERVICE% AppRotateBytes 10485760
rem Ctrl+C first (SIGINT in Node), with ten seconds to end.
nssm set %SERVICE% AppStopMethodConsole 10000
nssm set %SERVICE% AppExit Default Restart
nssm set %SERVICE% AppExit 0 Exit
nssm set %SERVICE% AppExit 2 Exit
nssm set %SERVICE% AppExit 77 Exit
nssm set %SERVICE% AppExit 78 Exit
if not exist "%~2\logs" mkdir "%~2\logs"
sc.exe config %SERVICE% start= delayed-auto
sc.exe failure %SERVICE% reset= 86400 actions= restart/5000/restart/5000/restart/60000
sc.exe start %SERVICE%
